"""What holds for all tests, the core's and the plugins'."""

import signal

# A job in a script's background ignores Ctrl-C, and so would every program that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
