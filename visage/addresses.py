"""IP addresses as sockets name them."""

from ipaddress import IPv4Address, IPv6Address


def without_mapping(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv4-mapped IPv6 address stands for; other addresses stay as they are.

    A socket that listens to both versions names its IPv4 peers so: `::ffff:192.0.2.1` (RFC 4291, 2.5.5.2). No peer by
    IPv6 can choose such an address, because the answers would go to the IPv4 address.
    """
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
