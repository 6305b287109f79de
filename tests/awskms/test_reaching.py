# SPDX-License-Identifier: Apache-2.0
"""What stands between us and KMS, and what the errors say about it."""

import pytest
from botocore import exceptions as boto

from sealpass.backends.awskms.refusals import Asked, translate
from sealpass.backends.registry import open_key
from sealpass.core.errors import BackendUnavailable
from tests.support.kms_emulator import REGION, KmsEmulator


@pytest.mark.parametrize(
    ("url", "host", "hint"),
    [
        ("https://kms.eu-centrall-1.amazonaws.com/", "kms.eu-centrall-1.amazonaws.com", "how region is spelt"),
        ("https://me:pw@kms.example:8443/", "kms.example:8443", "endpoint-url"),
        ("http://[::1]:4566", "[::1]:4566", "endpoint-url"),
        ("https://[broken", "", "endpoint-url"),
    ],
)
def test_the_host_that_could_not_be_reached_is_named(url: str, host: str, hint: str) -> None:
    """Without what may stand before it; at AWS the Region is part of the name, and a typing error goes nowhere."""
    found = translate(boto.EndpointConnectionError(endpoint_url=url), Asked("Decrypt"), 1)
    assert isinstance(found, BackendUnavailable)
    assert str(found).endswith(f"for 1.0 s (EndpointConnectionError{f' at {host}' if host else ''})")
    assert hint in found.hint
    assert "pw" not in f"{found} {found.hint}"


def test_a_proxy_that_could_not_be_reached_is_named() -> None:
    """It is not KMS that is away; its user name and password stay out."""
    found = translate(boto.ProxyConnectionError(proxy_url="http://me:pw@proxy.example:3128"), Asked("Decrypt"), 1)
    assert isinstance(found, BackendUnavailable)
    assert "at the proxy proxy.example:3128)" in str(found)
    assert "HTTPS_PROXY" in found.hint
    assert "pw" not in str(found)


@pytest.mark.parametrize(
    ("reason", "retryable", "text", "hint"),
    [
        ("Hostname mismatch, certificate is not valid for 'kms.example'.", False, "another host", "endpoint-url"),
        ("self-signed certificate", False, "not trusted", "AWS_CA_BUNDLE"),
    ],
)
def test_a_certificate_that_does_not_fit(reason: str, retryable: bool, text: str, hint: str) -> None:  # noqa: FBT001 - a column of the table
    """Another host's certificate asks for another host, and not for another certificate authority."""
    said = f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason} (_ssl.c:1002)"
    found = translate(boto.SSLError(endpoint_url="https://kms.example/", error=said), Asked("Decrypt"), 0)
    assert isinstance(found, BackendUnavailable)
    assert str(found).startswith("no TLS with kms.example: ")
    assert text in str(found)
    assert hint in found.hint
    assert found.retryable is retryable


def test_a_port_that_speaks_no_tls(remote_kms: KmsEmulator) -> None:
    """TLS with a plain http server: the scheme or the port is wrong, and time alone does not mend it."""
    host = str(remote_kms.endpoint_url).removeprefix("http://")
    with pytest.raises(BackendUnavailable, match=f"no TLS with {host}: what answers there speaks no TLS") as caught:
        open_key(f"awskms:key-id=alias/e2ee;region={REGION}?max-attempts=1&endpoint-url=https://{host}")
    assert not caught.value.retryable
    assert "http://localhost" in caught.value.hint
