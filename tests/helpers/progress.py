"""Progress callbacks."""

import workbench as wb


class Told(list):
    """What a progress callback was told, as (share, note); shares must not fall, and it may cancel at a note."""

    def __init__(self, cancel_at=None):
        super().__init__()
        self.cancel_at = cancel_at

    def __call__(self, share, note):
        assert not self or share >= self[-1][0]
        self.append((share, note))
        if self.cancel_at and self.cancel_at in note:
            raise wb.Cancelled


def cancel(share, note):
    raise wb.Cancelled
