package delivery

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// blockedRanges are the addresses that no vendor can have: IANA's special-purpose registries
// (RFC 6890 and its successors), what embeds IPv4 addresses in IPv6, and the addresses at which
// clouds serve their machines' secrets. The first range that holds an address names the reason; the
// last three take in whatever is not global unicast.
var blockedRanges = func() []blockedRange {
	list := []struct{ prefix, why string }{
		{"0.0.0.0/8", "this network"},
		{"10.0.0.0/8", "private"},
		{"100.100.100.200/32", "cloud metadata"}, // Alibaba Cloud
		{"100.64.0.0/10", "shared by carriers"},
		{"127.0.0.0/8", "loopback"},
		{"168.63.129.16/32", "cloud metadata"},   // Azure's host
		{"169.254.169.254/32", "cloud metadata"}, // AWS, Azure, Google Cloud and most others
		{"169.254.170.2/32", "cloud metadata"},   // AWS ECS
		{"169.254.0.0/16", "link-local"},
		{"172.16.0.0/12", "private"},
		{"192.0.0.192/32", "cloud metadata"}, // Oracle Cloud
		{"192.0.0.0/24", "protocol assignments"},
		{"192.0.2.0/24", "documentation"},
		{"192.88.99.0/24", "6to4 relays"},
		{"192.168.0.0/16", "private"},
		{"198.18.0.0/15", "benchmarking"},
		{"198.51.100.0/24", "documentation"},
		{"203.0.113.0/24", "documentation"},
		{"224.0.0.0/4", "multicast"},
		{"255.255.255.255/32", "broadcast"},
		{"240.0.0.0/4", "reserved"},

		{"::/128", "unspecified"},
		{"::1/128", "loopback"},
		{"::/96", "embeds IPv4"},
		{"64:ff9b::/96", "embeds IPv4"},
		{"64:ff9b:1::/48", "embeds IPv4"},
		{"2001::/32", "embeds IPv4"}, // Teredo
		{"2001::/23", "protocol assignments"},
		{"2001:db8::/32", "documentation"},
		{"2002::/16", "embeds IPv4"}, // 6to4
		{"3fff::/20", "documentation"},
		{"fd00:ec2::254/128", "cloud metadata"},      // AWS
		{"fd20:ce::254/128", "cloud metadata"},       // Google Cloud
		{"fd00:42::42/128", "cloud metadata"},        // Scaleway
		{"fd00:c1::a9fe:a9fe/128", "cloud metadata"}, // Oracle Cloud
		{"fc00::/7", "private"},
		{"fe80::/10", "link-local"},
		{"fec0::/10", "site-local"},
		{"ff00::/8", "multicast"},
		{"::/3", "not global unicast"},
		{"4000::/2", "not global unicast"},
		{"8000::/1", "not global unicast"},
	}
	out := make([]blockedRange, len(list))
	for i, r := range list {
		out[i] = blockedRange{netip.MustParsePrefix(r.prefix), r.why}
	}
	return out
}()

type blockedRange struct {
	prefix netip.Prefix
	why    string
}

// BlockedError says that the guard refused an address.
type BlockedError struct {
	Address string // as it was to be dialled
	Range   string // what it belongs to, such as "127.0.0.0/8 (loopback)"
}

func (e *BlockedError) Error() string {
	return fmt.Sprintf("address %s is not allowed: %s; vendors are called at public addresses only, "+
		"unless the address is on the allow-list", e.Address, e.Range)
}

// Guard refuses connections to addresses that no vendor can have. It sees the address that is
// really dialled, after name resolution, so that no name can point it elsewhere. It is immutable and
// safe for concurrent use.
type Guard struct {
	allow []netip.Prefix
}

// NewGuard returns a guard that lets through public addresses and those of allow, which is for
// development and for vendors inside one's own network.
func NewGuard(allow []netip.Prefix) *Guard {
	g := &Guard{allow: slices.Clone(allow)}
	for i, p := range g.allow {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		g.allow[i] = p.Masked()
	}
	return g
}

// Control is for net.Dialer.ControlContext. It returns a *BlockedError unless the address may be
// dialled; what it cannot read it refuses.
func (g *Guard) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return &BlockedError{Address: address, Range: fmt.Sprintf("network %q is not TCP", network)}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &BlockedError{Address: address, Range: "not an IP address and port"}
	}
	return g.check(address, ap.Addr())
}

func (g *Guard) check(address string, ip netip.Addr) error {
	ip = ip.Unmap().WithZone("") // a prefix contains no address with a zone
	holds := func(p netip.Prefix) bool { return p.Contains(ip) }
	if slices.ContainsFunc(g.allow, holds) {
		return nil
	}
	i := slices.IndexFunc(blockedRanges, func(r blockedRange) bool { return holds(r.prefix) })
	if i < 0 {
		return nil
	}
	r := blockedRanges[i]
	return &BlockedError{Address: address, Range: fmt.Sprintf("%s (%s)", r.prefix, r.why)}
}
