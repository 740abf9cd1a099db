"""`python -m stackctl`: the command line of the checkout in the working folder."""

from stackctl.cli import main

if __name__ == "__main__":
    main()
