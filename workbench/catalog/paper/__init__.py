"""The paper's table: computed and published figures."""
