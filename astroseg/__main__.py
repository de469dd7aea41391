"""``python -m astroseg``."""

from astroseg.cli import main

if __name__ == "__main__":
    main()
