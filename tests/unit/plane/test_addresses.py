import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.plane.addresses import EgressPolicy, is_public, parse_host, parse_url
from tickwork.plane.errors import AddressRefused

ANYWHERE = EgressPolicy(hosts=("*:*",))

SPELLINGS = """
http://127.0.0.1/ http://127.1/ http://127.0.1/ http://2130706433/ http://0x7f.1/ http://0x7F000001/ http://0177.0.0.1/
http://017700000001/ http://0/ http://00000/ http://127.0.0.1./ http://\uff11\uff12\uff17.0.0.1/ http://①②⑦.⓪.⓪.①/
http://127。0。0。1/ http://127.0.0.08/ http://0x/ http://[::1]/ http://[::]/ http://[::7f00:1]/ http://[::127.0.0.1]/
http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/ http://[0:0:0:0:0:ffff:a9fe:a9fe]/ http://[64:ff9b::a9fe:a9fe]/
http://[64:ff9b:1::1]/ http://[2002:7f00:1::]/ http://[2002:a9fe:a9fe::1]/ http://[2001:0:53aa:64c:0:7fff:5601:5601]/
http://[fe80::1]/ http://[fe80::1%25eth0]/ http://[::1%25lo]/ http://[fc00::1]/ http://[fd00:ec2::254]/
http://[ff02::1]/ http://[2001:db8::1]/ http://[100::1]/ http://[5f00::1]/ http://[2001:4860::5efe:7f00:1]/
http://[::ffff:0:127.0.0.1]/ http://192.0.0.192/ http://168.63.129.16/ http://169.254.169.254/ http://100.100.100.200/
http://10.0.0.1/ http://172.31.255.255/ http://192.168.0.1/ http://100.64.0.1/ http://198.18.0.1/ http://224.0.0.1/
http://239.255.255.250/ http://255.255.255.255/ http://240.0.0.1/ http://0.0.0.0/ http://192.88.99.1/
http://user@1.1.1.1/ http://1.1.1.1@127.0.0.1/ http://user:pw@1.1.1.1/ http://1.1.1.1#@127.0.0.1/@ http://1.1.1.1\\@a/
http://[::1/ http://::1/ http:///x http://./ http://../ http://a..b/ http://-a.com/ http://a%2eb/ http://127.0.0.1%00/
http://[1.1.1.1]/ http://1.1.1.1:0/ http://1.1.1.1:65536/ http://1.1.1.1:8x/ ftp://1.1.1.1/ file:///etc/passwd
gopher://1.1.1.1/ //1.1.1.1/ 1.1.1.1 javascript:alert(1) http:1.1.1.1 http:/1.1.1.1
""".split()


@pytest.mark.parametrize("url", [item for item in SPELLINGS if "#@" not in item])
def test_no_spelling_leads_to_an_address_that_is_not_public(url: str) -> None:
    with pytest.raises(AddressRefused):
        ANYWHERE.check_target(parse_url(url))


@pytest.mark.parametrize("url", ["http://a b/", "http://a\tb/", "http://a\n.b/", "\x00http://a/", "http://a/\x7f"])
def test_blanks_and_control_characters_are_refused(url: str) -> None:
    with pytest.raises(AddressRefused, match="blank"):
        parse_url(url)


def test_what_follows_a_number_sign_is_not_sent() -> None:
    assert parse_url("http://1.1.1.1/a?b#@127.0.0.1/").url == "http://1.1.1.1/a?b"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://Example.COM", "https://example.com/"),
        ("https://example.com.:443/a?b=c", "https://example.com/a?b=c"),
        ("http://example.com:443?x", "http://example.com:443/?x"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/ü"),
        ("HTTPS://[2606:4700:4700::1111]:8443/", "https://[2606:4700:4700::1111]:8443/"),
        ("http://1.1.1.1", "http://1.1.1.1/"),
        ("https://a_b.example/", "https://a_b.example/"),
    ],
)
def test_an_address_has_one_spelling(url: str, written: str) -> None:
    assert parse_url(url).url == written
    assert parse_url(parse_url(url).url) == parse_url(url)


def test_a_long_address_is_refused() -> None:
    with pytest.raises(AddressRefused, match="too long"):
        parse_url("http://example.com/" + "a" * 9000)


@given(st.integers(0, 2**32 - 1))
def test_whatever_hides_an_address_of_version_4_in_version_6_is_closed(number: int) -> None:
    inner = ipaddress.IPv4Address(number)
    hidden = (
        number,
        0xFFFF << 32 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80,
        0x20010000 << 96 | number,
    )
    assert not any(is_public(ipaddress.IPv6Address(one)) for one in hidden), inner


@given(st.integers(0, 2**128 - 1))
def test_what_python_calls_private_is_never_public(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    assert not (is_public(address) and (address.is_private or address.is_multicast or address.is_link_local))


@given(st.integers(0, 2**32 - 1))
def test_what_python_calls_private_in_version_4_is_never_public(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    assert not (is_public(address) and (not address.is_global or address.is_multicast))


@given(st.text(max_size=20))
def test_a_host_is_refused_or_has_one_spelling(text: str) -> None:
    try:
        host = parse_host(text)
    except AddressRefused:
        return
    assert host.isascii()
    assert ":" in host or parse_host(host) == host


@pytest.mark.parametrize(
    ("pattern", "url", "allowed"),
    [
        ("example.com", "https://example.com/", True),
        ("Example.com", "http://example.com/", True),
        ("example.com", "https://example.com:8443/", False),
        ("example.com:8443", "https://example.com:8443/", True),
        ("example.com:*", "http://example.com:1/", True),
        ("example.com", "https://a.example.com/", False),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://badexample.com/", False),
        ("*", "https://anything.example/", True),
        ("*", "https://anything.example:444/", False),
        ("*", "https://1.1.1.1/", True),
        ("*.1", "https://1.1.1.1/", False),
        ("[2606:4700::1]:8443", "https://[2606:4700:0::1]:8443/", True),
        ("127.1", "http://127.0.0.1/", False),
    ],
)
def test_a_pattern_names_hosts(pattern: str, url: str, allowed: bool) -> None:
    policy = EgressPolicy(hosts=(pattern,))
    if allowed:
        policy.check_target(parse_url(url))
    else:
        with pytest.raises(AddressRefused):
            policy.check_target(parse_url(url))


def test_without_a_host_nothing_is_reached() -> None:
    with pytest.raises(AddressRefused, match="may not be reached"):
        EgressPolicy(loopback=True).check_target(parse_url("http://localhost/"))


def test_loopback_and_networks_are_granted_apart() -> None:
    loopback = EgressPolicy(hosts=("*",), loopback=True)
    loopback.check_target(parse_url("http://127.0.0.1/"))
    loopback.check_target(parse_url("http://[::1]/"))
    network = EgressPolicy(hosts=("*",), networks=("10.1.0.0/16",))
    network.check_target(parse_url("http://10.1.2.3/"))
    for policy, url in ((loopback, "http://10.1.2.3/"), (network, "http://127.0.0.1/"), (network, "http://10.2.0.1/")):
        with pytest.raises(AddressRefused, match="not public"):
            policy.check_target(parse_url(url))


def test_only_names_of_this_machine_lead_to_it() -> None:
    policy, here = EgressPolicy(hosts=("*",), loopback=True), [ipaddress.ip_address("127.0.0.1")]
    for host in ("localhost", "a.localhost", "127.0.0.1"):
        policy.check_addresses(host, here)
    for host in ("rebound.example", "notlocalhost", "localhost.example"):
        with pytest.raises(AddressRefused):
            policy.check_addresses(host, here)


def test_one_address_that_is_closed_closes_the_host() -> None:
    both = [ipaddress.ip_address("1.1.1.1"), ipaddress.ip_address("127.0.0.1")]
    with pytest.raises(AddressRefused):
        EgressPolicy(hosts=("*",)).check_addresses("two.example", both)
