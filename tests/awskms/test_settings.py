# SPDX-License-Identifier: Apache-2.0
"""What an awskms: URI may say; each refusal names the attribute and not its value."""

import pytest

from sealpass.backends.awskms.settings import (
    DEFAULT_MAX_ATTEMPTS,
    KeyName,
    Settings,
    alias_interval,
    check_endpoint,
    is_aws,
    require_key_name,
)
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri

UUID = "1234abcd-12ab-34cd-56ef-1234567890ab"
MRK = "mrk-1234abcd12ab34cd56ef1234567890ab"
ARN = "arn:aws:kms:eu-central-1:111122223333"


@pytest.mark.parametrize(
    ("text", "region", "alias"),
    [
        (UUID, None, None),
        (MRK, None, None),
        (f"{ARN}:key/{UUID}", "eu-central-1", None),
        (f"{ARN}:key/{MRK}", "eu-central-1", None),
        ("alias/e2ee", None, "alias/e2ee"),
        ("alias/prod/e2ee_2026-a", None, "alias/prod/e2ee_2026-a"),
        (f"{ARN}:alias/e2ee", "eu-central-1", "alias/e2ee"),
        (f"arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/{UUID}", "us-gov-west-1", None),
    ],
)
def test_each_spelling_of_a_key_is_understood(text: str, region: str | None, alias: str | None) -> None:
    """A key id, a key ARN, an alias and an alias ARN, in any partition."""
    uri = KeyUri.parse(f"awskms:key-id={text}")
    assert require_key_name(uri) == KeyName(text, region)
    assert require_key_name(uri).alias == alias
    assert Settings.of(uri).region == region


@pytest.mark.parametrize(
    "text",
    [
        "",
        "e2ee/alias",
        "alias/",
        "alias/with%20space",
        "alias/" + "x" * 251,
        "x" * 65,
        f"{ARN}:key",
        f"arn:aws:s3:eu-central-1:111122223333:key/{UUID}",
        f"arn:aws:kms::111122223333:key/{UUID}",
        f"arn:aws:kms:eu-central-1:1:key/{UUID}",
        f"{UUID}%0A",
    ],
)
def test_another_spelling_is_refused(text: str) -> None:
    """Before anything is asked, and without repeating it."""
    with pytest.raises(ConfigError, match="key-id is a key id") as caught:
        open_key(f"awskms:key-id={text};region=eu-central-1")
    assert len(text) < 10 or text not in str(caught.value)


def test_a_uri_without_a_key_opens_nothing() -> None:
    """It can list keys and make one, but not be one."""
    with pytest.raises(ConfigError, match="lacks 'key-id'"):
        open_key("awskms:region=eu-central-1")
    key_maker("awskms:region=eu-central-1")


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("retry-mode", ["never", "STANDARD", "standard%20"]),
        ("max-attempts", ["0", "-1", "11", "x", "1.5", "%C2%B2", "99999"]),
        ("max-connections", ["0", "1001", "many"]),
        ("connect-timeout", ["0", "-1", "nan", "inf", "1e3", "0.0", "12345678"]),
        ("read-timeout", ["0", "x", ""]),
        ("alias-interval", ["0", "x", "-5"]),
        ("aws-profile", ["", "a%20b", "%5Bx%5D"]),
        ("endpoint-url", ["", "x", "ftp://127.0.0.1", "https://", "https://a:b", "https://me:pw@host", "http://%5B"]),
    ],
)
def test_a_malformed_value_is_refused_by_its_name(attribute: str, values: list[str]) -> None:
    """The attribute is named; its value is not repeated."""
    for value in values:
        with pytest.raises(ConfigError, match=attribute) as caught:
            open_key(f"awskms:key-id={UUID};region=eu-central-1?{attribute}={value}")
        assert f"={value}" not in str(caught.value)
        assert "pw" not in str(caught.value)


def test_every_number_arrives_where_it_belongs() -> None:
    """The attributes of the query, and what stands where they are not given."""
    given = KeyUri.parse(
        f"awskms:key-id={UUID};region=us-east-1?endpoint-url=https://kms.example&aws-profile=prod&retry-mode=adaptive"
        "&max-attempts=5&connect-timeout=0.5&read-timeout=7&max-connections=64&alias-interval=5.5"
    )
    assert Settings.of(given) == Settings("us-east-1", "prod", "https://kms.example", "adaptive", 5, 0.5, 7.0, 64)
    assert alias_interval(given) == 5.5
    plain = KeyUri.parse(f"awskms:key-id={UUID}")
    assert Settings.of(plain) == Settings(None, None, None, "standard", DEFAULT_MAX_ATTEMPTS, 2.0, 3.0, 32)
    assert alias_interval(plain) == 60


@pytest.mark.parametrize(
    "uri", [f"awskms:key-id={ARN}:key/{UUID};region=eu-west-1", f"awskms:key-id={ARN}:alias/a;region=us-east-1"]
)
def test_two_regions_are_a_conflict(uri: str) -> None:
    """The Region of an ARN and another one in the URI; the same one twice is none."""
    with pytest.raises(ConfigError, match="two Regions"):
        open_key(uri)
    assert Settings.of(KeyUri.parse(f"awskms:key-id={ARN}:alias/a;region=eu-central-1")).region == "eu-central-1"


@pytest.mark.parametrize("region", ["EU", "eu-central-1.evil.example", "a/b", ""])
def test_a_region_is_a_code(region: str) -> None:
    """It becomes part of a host name."""
    with pytest.raises(ConfigError, match="region is the code"):
        open_key(f"awskms:key-id={UUID};region={region}")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4566",
        "http://127.9.9.9",
        "http://localhost:4566/",
        "http://[::1]:4566",
        "https://vpce-1.kms.eu-central-1.vpce.amazonaws.com",
        "https://kms.example:8443",
    ],
)
def test_a_safe_endpoint_is_taken(url: str) -> None:
    """TLS to anywhere, and plain http to this machine."""
    check_endpoint(url)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "kms.example", "localhost.example", "192.168.0.1", "[::2]", "127.0.0.1.example"]
)
def test_plain_http_to_another_machine_is_refused(host: str) -> None:
    """It would carry content keys readable across the network."""
    with pytest.raises(ConfigError, match="plain http to another machine") as caught:
        open_key(f"awskms:key-id={UUID};region=eu-central-1?endpoint-url=http://{host}:4566")
    assert "https" in caught.value.hint


@pytest.mark.parametrize("value", ["localhost:4566", "127.0.0.1:4566", "localhost"])
def test_an_endpoint_without_a_scheme_is_told_to_write_one(value: str) -> None:
    """The hint shows how; a value that has a scheme needs another advice."""
    with pytest.raises(ConfigError, match="endpoint-url is https://HOST") as caught:
        open_key(f"awskms:key-id={UUID};region=eu-central-1?endpoint-url={value}")
    assert "http://localhost:4566" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        check_endpoint(f"ftp://{value}")
    assert "http://" not in caught.value.hint


@pytest.mark.parametrize("url", ["https://kms.example/path", "https://kms.example?x=1", "https://kms.example#x"])
def test_an_endpoint_is_a_host_only(url: str) -> None:
    """A path or query would be lost on the way to KMS's one path."""
    with pytest.raises(ConfigError, match="nothing behind"):
        check_endpoint(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://kms.eu-central-1.amazonaws.com", True),
        ("https://kms-fips.us-east-1.amazonaws.com", True),
        ("https://kms.cn-north-1.amazonaws.com.cn", True),
        ("https://kms.eu-central-1.api.aws", True),
        ("https://vpce-1.kms.eu-central-1.vpce.amazonaws.com", True),
        ("http://127.0.0.1:4566", False),
        ("https://amazonaws.com.example", False),
        ("https://notamazonaws.com", False),
    ],
)
def test_an_emulator_is_told_from_aws(url: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """By the end of the host's name, at a dot."""
    assert is_aws(url) is expected
