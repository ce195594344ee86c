package delivery_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/delivery"
)

// control asks the guard about an address and port 443.
func control(g *delivery.Guard, ip netip.Addr) error {
	network := "tcp6"
	if ip.Is4() {
		network = "tcp4"
	}
	return g.Control(context.Background(), network, netip.AddrPortFrom(ip, 443).String(), nil)
}

// specialRanges are the first and last address of each range that is refused, and their neighbours
// outside, "" where those belong to a range of their own.
var specialRanges = []struct{ first, last, before, after string }{
	{"0.0.0.0", "0.255.255.255", "", "1.0.0.0"},
	{"10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
	{"100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"},
	{"127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"},
	{"168.63.129.16", "168.63.129.16", "168.63.129.15", "168.63.129.17"},
	{"169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"},
	{"172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"},
	{"192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"},
	{"192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"},
	{"192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"},
	{"192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"},
	{"198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"},
	{"198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"},
	{"203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"},
	{"224.0.0.0", "239.255.255.255", "223.255.255.255", ""},
	{"240.0.0.0", "255.255.255.255", "", ""},

	{"::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", "2000::"}, // all below global unicast
	{"::1", "::1", "", ""},
	{"::7f00:1", "::a9fe:a9fe", "", ""},         // IPv4-compatible
	{"64:ff9b::", "64:ff9b::ffff:ffff", "", ""}, // NAT64
	{"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "", ""},
	{"2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"},
	{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
	{"2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"},
	{"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"},
	{"4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
	{"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", ""},
	{"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", ""},
	{"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", ""},
	{"ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", ""},
}

func TestGuardRanges(t *testing.T) {
	t.Parallel()
	g := delivery.NewGuard(nil)
	for _, r := range specialRanges {
		for _, inside := range []string{r.first, r.last} {
			ip := netip.MustParseAddr(inside)
			var blocked *delivery.BlockedError
			if err := control(g, ip); !errors.As(err, &blocked) {
				t.Errorf("%s: got %v, want a *BlockedError", ip, err)
			}
			if !ip.Is4() {
				continue
			}
			mapped := netip.AddrFrom16(ip.As16())
			if err := control(g, mapped); !errors.As(err, &blocked) {
				t.Errorf("%s: got %v, want a *BlockedError", mapped, err)
			}
		}
		for _, outside := range []string{r.before, r.after} {
			if outside == "" {
				continue
			}
			if err := control(g, netip.MustParseAddr(outside)); err != nil {
				t.Errorf("%s is public: %v", outside, err)
			}
		}
	}
}

// TestGuardSaysWhy checks that the narrower reason is the one given.
func TestGuardSaysWhy(t *testing.T) {
	t.Parallel()
	g := delivery.NewGuard(nil)
	for ip, want := range map[string]string{
		"127.0.0.1":          "127.0.0.0/8 (loopback)",
		"::ffff:127.0.0.1":   "127.0.0.0/8 (loopback)",
		"0.0.0.0":            "0.0.0.0/8 (this network)",
		"169.254.169.254":    "169.254.169.254/32 (cloud metadata)",
		"169.254.170.2":      "169.254.170.2/32 (cloud metadata)",
		"169.254.1.1":        "169.254.0.0/16 (link-local)",
		"100.100.100.200":    "100.100.100.200/32 (cloud metadata)",
		"192.0.0.192":        "192.0.0.192/32 (cloud metadata)",
		"168.63.129.16":      "168.63.129.16/32 (cloud metadata)",
		"fd00:ec2::254":      "fd00:ec2::254/128 (cloud metadata)",
		"fd20:ce::254":       "fd20:ce::254/128 (cloud metadata)",
		"fd00:42::42":        "fd00:42::42/128 (cloud metadata)",
		"fd00:c1::a9fe:a9fe": "fd00:c1::a9fe:a9fe/128 (cloud metadata)",
		"::":                 "::/128 (unspecified)",
		"::1":                "::1/128 (loopback)",
		"fe80::1%eth0":       "fe80::/10 (link-local)",
		"64:ff9b::a9fe:a9fe": "64:ff9b::/96 (embeds IPv4)",
		"2002:7f00:1::":      "2002::/16 (embeds IPv4)",
		"255.255.255.255":    "255.255.255.255/32 (broadcast)",
		"100::1":             "::/3 (not global unicast)",
		"5f00::1":            "4000::/2 (not global unicast)",
	} {
		err := control(g, netip.MustParseAddr(ip))
		var blocked *delivery.BlockedError
		if !errors.As(err, &blocked) || blocked.Range != want {
			t.Errorf("%s: got %v, want %q", ip, err, want)
			continue
		}
		if !strings.Contains(err.Error(), blocked.Address) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s and %s", err, blocked.Address, want)
		}
	}
}

func TestGuardRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	g := delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	for _, c := range []struct{ network, address string }{
		{"tcp4", "example.com:443"},
		{"tcp4", "8.8.8.8"},
		{"tcp4", ""},
		{"tcp6", "[::1]"},
		{"udp4", "8.8.8.8:53"},
		{"unix", "/var/run/docker.sock"},
		{"tcp", "8.8.8.8:443"}, // the dialer always says which
	} {
		var blocked *delivery.BlockedError
		if err := g.Control(context.Background(), c.network, c.address, nil); !errors.As(err, &blocked) {
			t.Errorf("%s %q: got %v, want a *BlockedError", c.network, c.address, err)
		}
	}
}

func TestGuardAllowList(t *testing.T) {
	t.Parallel()
	allow := []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/32"),
		netip.MustParsePrefix("10.1.2.3/16"), // not masked
		netip.MustParsePrefix("::ffff:192.168.7.0/120"),
		netip.MustParsePrefix("fe80::/10"),
	}
	g := delivery.NewGuard(allow)
	allow[0] = netip.MustParsePrefix("0.0.0.0/0") // must not reach the guard
	for ip, ok := range map[string]bool{
		"127.0.0.1": true, "::ffff:127.0.0.1": true, "127.0.0.2": false, "::1": false,
		"10.1.255.255": true, "10.2.0.0": false,
		"192.168.7.9": true, "192.168.8.0": false,
		"fe80::1%eth0": true, "fec0::1": false,
		"8.8.8.8": true,
	} {
		if err := control(g, netip.MustParseAddr(ip)); (err == nil) != ok {
			t.Errorf("%s: %v", ip, err)
		}
	}
}

// TestGuardSeesResolvedAddresses dials by name, through a resolver that answers as an attacker's
// would.
func TestGuardSeesResolvedAddresses(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	resolver := serveDNS(t, map[string][]string{
		"plain.attacker.test":  {"127.0.0.1"},
		"mapped.attacker.test": {"::ffff:127.0.0.1"},
		"meta.attacker.test":   {"169.254.169.254"},
	})
	for _, host := range []string{"plain.attacker.test", "mapped.attacker.test", "meta.attacker.test", "localhost", "127.0.0.1", "::1"} {
		d := net.Dialer{Resolver: resolver, ControlContext: delivery.NewGuard(nil).Control}
		conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		var blocked *delivery.BlockedError
		if !errors.As(err, &blocked) {
			t.Errorf("%s: got %v, want a *BlockedError", host, err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
	d := net.Dialer{
		Resolver:       resolver,
		ControlContext: delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Control,
	}
	conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("plain.attacker.test", port))
	if err != nil {
		t.Fatalf("the same name with loopback allowed: %v", err)
	}
	_ = conn.Close()
}

func FuzzGuard(f *testing.F) {
	f.Add("tcp4", "127.0.0.1:80")
	f.Add("tcp6", "[::ffff:7f00:1]:80")
	f.Add("tcp6", "[fe80::1%25lo]:80")
	g := delivery.NewGuard(nil)
	f.Fuzz(func(t *testing.T, network, address string) {
		if g.Control(context.Background(), network, address, nil) != nil {
			return
		}
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			t.Fatalf("allowed %q", address)
		}
		ip := ap.Addr().Unmap()
		if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() {
			t.Fatalf("allowed %s", ip)
		}
	})
}
