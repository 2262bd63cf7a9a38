from tests.making import make, project  # noqa: F401 (fixtures)
