"""Every setting: from its variable, from its option, and refused by name when it can't be used."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from assay.config import Settings, option_of, variable_of
from assay.errors import ErrorCode, Invalid

# A good text for each setting, what it is read as, and another value as the command line would give it.
EXAMPLES: dict[str, tuple[str, object, object]] = {
    "host": ("0.0.0.0", "0.0.0.0", "::1"),
    "port": ("9000", 9000, 0),
    "data_dir": ("/srv/assay", Path("/srv/assay"), Path("elsewhere")),
    "database_url": ("sqlite:////srv/assay.db", "sqlite:////srv/assay.db", "postgresql://somewhere/assay"),
    "storage_url": ("s3://bucket/prefix", "s3://bucket/prefix", "file:///srv/files"),
    "base_url": ("https://assay.example", "https://assay.example", "http://localhost:9000"),
    "workers": ("0", 0, 8),
    "engine": ("dask://127.0.0.1:8786", "dask://127.0.0.1:8786", "dask://elsewhere:1"),
    "running_jobs_per_workspace": ("1", 1, 1000),
    "bootstrap_token": ("a-token", "a-token", "another"),
    "max_upload_bytes": ("1", 1, 2),
    "max_body_bytes": ("1024", 1024, 4096),
    "record_limit_bytes": ("2048", 2048, 1024),
    "chunk_bytes": ("1024", 1024, 10_000),
    "upload_url_seconds": ("60", 60, 1),
    "storage_hook_secret": ("told-to-the-store", "told-to-the-store", "another"),
    "rate_limit_per_minute": ("0", 0, 60),
    "log_format": ("json", "json", "text"),
    "webhook_private_networks": ("true", True, False),
    "lease_seconds": ("5", 5, 1),
    "poll_seconds": ("0.05", 0.05, 2.0),
}
BAD_VALUES = [
    ("port", "65536"),
    ("port", "-1"),
    ("port", "http"),
    ("port", "80.5"),
    ("workers", "-1"),
    ("workers", "257"),
    ("workers", "many"),
    ("chunk_bytes", "1023"),
    ("chunk_bytes", "32MiB"),
    ("chunk_bytes", "2147483648"),
    ("record_limit_bytes", "0"),
    ("max_upload_bytes", "0"),
    ("max_upload_bytes", "99999999999999999999"),
    ("max_body_bytes", "1023"),
    ("upload_url_seconds", "0"),
    ("upload_url_seconds", "99999999999999"),
    ("lease_seconds", "0"),
    ("lease_seconds", "99999999999999"),
    ("lease_seconds", "half"),
    ("poll_seconds", "0"),
    ("poll_seconds", "-0.5"),
    ("poll_seconds", "nan"),
    ("poll_seconds", "inf"),
    ("running_jobs_per_workspace", "0"),
    ("running_jobs_per_workspace", "99999999999999999999"),
    ("engine", "spark://somewhere"),
    ("rate_limit_per_minute", "-1"),
    ("log_format", "xml"),
    ("webhook_private_networks", "maybe"),
    ("base_url", "assay.example"),
    ("base_url", "ftp://assay.example"),
]


def test_every_setting_has_an_example_here_and_a_help_text() -> None:
    assert {row.name for row in fields(Settings)} == set(EXAMPLES)
    assert all(row.metadata["help"].endswith(".") for row in fields(Settings))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_setting_is_read_from_its_variable(name: str) -> None:
    text, expected, _ = EXAMPLES[name]
    value = getattr(Settings.from_env({variable_of(name): text}), name)
    assert value == expected
    assert type(value) is type(expected) or isinstance(value, Path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_option_wins_over_the_variable(name: str) -> None:
    text, _, given = EXAMPLES[name]
    assert getattr(Settings.from_env({variable_of(name): text}, **{name: given}), name) == given


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_empty_variable_and_an_option_not_given_are_the_default(name: str) -> None:
    assert Settings.from_env({variable_of(name): ""}, **{name: None}) == Settings()


@pytest.mark.parametrize(("name", "text"), BAD_VALUES)
def test_a_bad_value_names_its_variable_and_itself(name: str, text: str) -> None:
    with pytest.raises(Invalid) as raised:
        Settings.from_env({variable_of(name): text})
    assert raised.value.code is ErrorCode.INVALID_SETTING
    assert variable_of(name) in raised.value.message
    assert text in raised.value.message


@pytest.mark.parametrize(("name", "value"), [("port", 70_000), ("workers", -3), ("poll_seconds", 0.0)])
def test_a_bad_option_is_named(name: str, value: object) -> None:
    with pytest.raises(Invalid, match=option_of(name)):
        Settings.from_env({}, **{name: value})


def test_variables_of_others_are_left_alone() -> None:
    assert Settings.from_env({"PORT": "1", "HOME": "/root", "ASSAY_UNKNOWN": "x"}) == Settings()


def test_names_of_options_and_variables() -> None:
    assert option_of("upload_url_seconds") == "--upload-url-seconds"
    assert variable_of("upload_url_seconds") == "ASSAY_UPLOAD_URL_SECONDS"


def test_without_addresses_everything_lies_in_the_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    assert settings.resolved_database_url() == f"sqlite:///{tmp_path}/data/assay.db"
    assert settings.resolved_storage_url() == f"file://{tmp_path}/data/storage"


def test_addresses_that_are_set_are_taken_as_they_are() -> None:
    settings = Settings(database_url="postgresql://x/y", storage_url="s3://bucket")
    assert settings.resolved_database_url() == "postgresql://x/y"
    assert settings.resolved_storage_url() == "s3://bucket"


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]
