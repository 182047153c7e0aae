package config

import "net/netip"

// ParseNetwork reads a network such as 10.0.0.0/8, or one address.
func ParseNetwork(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		ip = ip.Unmap().WithZone("")
		return ip.Prefix(ip.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
