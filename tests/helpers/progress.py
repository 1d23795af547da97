"""Progress callbacks."""

import workbench as wb


class Told(list):
    """What a progress callback was told, as (share, note); shares must not fall. Cancels at a note or after steps."""

    def __init__(self, cancel_at=None, *, steps=None):
        super().__init__()
        self.cancel_at, self.steps = cancel_at, steps

    def __call__(self, share, note):
        assert not self or share >= self[-1][0]
        self.append((share, note))
        if (self.cancel_at and self.cancel_at in note) or (self.steps is not None and len(self) > self.steps):
            raise wb.Cancelled


def cancel(share, note):
    raise wb.Cancelled
