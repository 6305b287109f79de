# SPDX-License-Identifier: Apache-2.0
"""What an ``awskms:`` URI says: which key, where, and how patiently it is asked. No I/O in here."""

import ipaddress
import math
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri

RETRY_MODES = ("standard", "adaptive", "legacy")
DEFAULT_RETRY_MODE = "standard"
# One call and two retries. After throttling a standard retry waits up to 1 s, then up to 2 s (other failures: 0.1 s at
# most), so a throttled login is answered within a few seconds.
DEFAULT_MAX_ATTEMPTS = 3
# boto3's 60 s would hold a login, its thread and its nonce for a minute. KMS of the same Region answers within some
# ten milliseconds. 2 s to connect leave room for one lost SYN (sent again after 1 s), 3 s to answer for a slow moment.
DEFAULT_CONNECT_TIMEOUT = 2.0
DEFAULT_READ_TIMEOUT = 3.0
# boto3's 10 are fewer than the threads of most servers, and each further thread would pay a TLS handshake for every
# call. As many as a PKCS#11 key has sessions.
DEFAULT_MAX_CONNECTIONS = 32
# A DescribeKey a minute and process. A nonce lives five, so no client meets an alias that moved longer ago than that.
DEFAULT_ALIAS_INTERVAL = 60.0

_ALIAS = r"alias/[A-Za-z0-9:/_-]{1,250}"
_KEY_ID = r"[A-Za-z0-9-]{1,64}"  # a UUID, or mrk- and 32 hexadecimal digits
_NAME = re.compile(rf"(?:{_KEY_ID}|{_ALIAS})\Z")
_ARN = re.compile(rf"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{{12}}):(?:key/{_KEY_ID}|{_ALIAS})\Z")
_GIVEN_BY_AWS = re.compile(r"(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z")
_REGION = re.compile(r"[a-z0-9-]{1,63}\Z")
_PROFILE = re.compile(r"[^\s\[\]]{1,255}\Z")
_SPELLINGS = "a key id, a key ARN, alias/NAME or an alias ARN"

# The DNS suffixes of AWS's partitions (endpoints.json of botocore), dual-stack ones included.
_AWS_SUFFIXES = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
)


@dataclass(frozen=True, slots=True)
class KeyName:
    """How a URI names its key."""

    text: str
    """As KMS takes it for KeyId."""
    region: str | None
    """The Region of an ARN."""

    @classmethod
    def of(cls, uri: KeyUri) -> "KeyName | None":
        """The value of ``key-id``, or None; raises ConfigError where it is none of the four spellings."""
        text = uri.text("key-id")
        if text is None:
            return None
        arn = _ARN.match(text)
        if arn is None and not _NAME.match(text):
            raise ConfigError(f"awskms: key-id is {_SPELLINGS}")
        return cls(text, arn["region"] if arn else None)

    @property
    def alias(self) -> str | None:
        """``alias/NAME``, where it is one."""
        _, found, name = f":{self.text}".partition(":alias/")
        return f"alias/{name}" if found else None


def is_key_name(text: str) -> bool:
    """Whether the text is a name of a key, and so public, and fit to be shown."""
    return bool(_NAME.match(text) or _ARN.match(text))


def looks_like_alias(key_id: str) -> bool:
    """Whether what is written as a key id is none that AWS would give: perhaps an alias without its ``alias/``."""
    return bool(re.fullmatch(_KEY_ID, key_id)) and not _GIVEN_BY_AWS.match(key_id)


def require_key_name(uri: KeyUri) -> KeyName:
    """The key that the URI names; raises ConfigError where it names none."""
    name = KeyName.of(uri)
    if name is None:
        raise ConfigError("awskms: key URI lacks 'key-id'", hint=f"add key-id=…: {_SPELLINGS}")
    return name


def host_of(url: str) -> str:
    """The host of a URL, with its port where it names one; never its userinfo. Empty where there is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    return (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")


def is_aws(endpoint_url: str) -> bool:
    """Whether the endpoint's host is one of AWS."""
    host = host_of(endpoint_url).partition(":")[0]
    return any(host == suffix or host.endswith(f".{suffix}") for suffix in _AWS_SUFFIXES)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_endpoint(endpoint_url: str, attribute: str = "endpoint-url") -> None:
    """Refuse what is no plain URL of a host, and http to another machine; raises ConfigError."""
    try:
        parts = urlsplit(endpoint_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise ConfigError(
            f"awskms: {attribute} is https://HOST or https://HOST:PORT, without a user name",
            # The value itself is not repeated: it may be what does not belong there.
            hint=None
            if "://" in endpoint_url
            else "write https:// before the host; an emulator of this machine is http://localhost:4566",
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"awskms: {attribute} has nothing behind the host and port")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigError(
            f"awskms: {attribute} is plain http to another machine: content keys would cross the network readable",
            hint="use https; http is for an emulator on 127.0.0.1, [::1] or localhost",
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides about the client. Keys with equal settings share one."""

    region: str | None
    """None = what boto3 finds in its environment."""
    profile: str | None
    endpoint_url: str | None
    retry_mode: str = DEFAULT_RETRY_MODE
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    """The first one included."""
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    """Seconds, as all times here."""
    read_timeout: float = DEFAULT_READ_TIMEOUT
    max_connections: int = DEFAULT_MAX_CONNECTIONS

    @classmethod
    def of(cls, uri: KeyUri) -> "Settings":
        """What the URI says, with defaults; raises ConfigError that names the attribute and not its value."""
        name = KeyName.of(uri)
        region = uri.text("region")
        if region is not None and not _REGION.match(region):
            raise ConfigError("awskms: region is the code of an AWS Region", hint="for example region=eu-central-1")
        if name is not None and name.region is not None:
            if region is not None and region != name.region:
                raise ConfigError(
                    "awskms: the ARN in key-id and the attribute region name two Regions", hint="leave region out"
                )
            region = name.region
        profile = uri.text("aws-profile")
        if profile is not None and not _PROFILE.match(profile):
            raise ConfigError("awskms: aws-profile is the name of a profile of the AWS configuration")
        endpoint_url = uri.text("endpoint-url")
        if endpoint_url is not None:
            check_endpoint(endpoint_url)
        retry_mode = uri.text("retry-mode") or DEFAULT_RETRY_MODE
        if retry_mode not in RETRY_MODES:
            raise ConfigError(f"awskms: retry-mode is one of {', '.join(RETRY_MODES)}")
        return cls(
            region=region,
            profile=profile,
            endpoint_url=endpoint_url,
            retry_mode=retry_mode,
            max_attempts=_count(uri, "max-attempts", DEFAULT_MAX_ATTEMPTS, 10),
            connect_timeout=_seconds(uri, "connect-timeout", DEFAULT_CONNECT_TIMEOUT),
            read_timeout=_seconds(uri, "read-timeout", DEFAULT_READ_TIMEOUT),
            max_connections=_count(uri, "max-connections", DEFAULT_MAX_CONNECTIONS, 1000),
        )


def alias_interval(uri: KeyUri) -> float:
    """Seconds between two looks at where an alias points."""
    return _seconds(uri, "alias-interval", DEFAULT_ALIAS_INTERVAL)


def _count(uri: KeyUri, name: str, default: int, most: int) -> int:
    text = uri.text(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= most:
        raise ConfigError(f"awskms: {name} is a number from 1 to {most}")
    return int(text)


def _seconds(uri: KeyUri, name: str, default: float) -> float:
    text = uri.text(name)
    if text is None:
        return default
    found = float(text) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) else math.nan
    if not found > 0:
        raise ConfigError(f"awskms: {name} is a number of seconds above 0")
    return found
