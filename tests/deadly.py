"""A finder that ends its worker, in a module of its own: workers import it by this name."""

import os
import signal
import time

from astroseg import PixelFinder


class Deadly(PixelFinder):
    """Kills its worker, or never returns, where it sees a marked pixel; once, or always."""

    name = "deadly"
    is_probability = False

    def __init__(self, *, how: str = "kill", marks: str = "", times: int = 1):
        self.how = how
        self.marks = marks
        self.times = times

    def predict(self, batch, **prepared):
        if (batch > 1e6).any():
            with open(self.marks, "a") as file:  # noqa: PTH123
                file.write("x")
            if os.path.getsize(self.marks) <= self.times:  # noqa: PTH202
                if self.how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                elif self.how == "memory":
                    raise MemoryError
                time.sleep(60)
        return ((batch > 5) & (batch < 1e6)).astype("f4")
