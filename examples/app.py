"""app.py: the application that main.py runs. This one only tells its version."""

VERSION = "1.0"
WORKS = True


def ready():
    """Does the application do what it is for? The last question of the self-test."""
    return WORKS


def run():
    """The application itself."""
    print("app", VERSION, "running")
