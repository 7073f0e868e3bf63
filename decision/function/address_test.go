package function

import (
	"encoding/binary"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestRefusedAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		addresses string
		public    bool // asked by everybody
		private   bool // asked when the installation allows it
	}{
		{"8.8.8.8 1.1.1.1 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 192.169.0.1 2606:4700::1111 2a00:1450::1", true, true},
		{"127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 ::1 fc00::1 fd12:3456::1", false, true},
		{"0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1", false, false},
		{":: fe80::1 fec0::1 ff02::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b:1::7f00:1 2002:7f00:1:: 2001:0:7f00:1:: 2001:db8::1 100::1 5f00::1 3fff::1 fe80::1%eth0", false, false},
	} {
		for text := range strings.FieldsSeq(c.addresses) {
			ip := netip.MustParseAddr(text)
			if why := refused(ip, false); (why == "") != c.public {
				t.Errorf("%s for everybody: %q", text, why)
			}
			if why := refused(ip, true); (why == "") != c.private {
				t.Errorf("%s when allowed: %q", text, why)
			}
		}
	}
}

// FuzzRefused holds the filter against the plainest rule: what is let through is a
// public unicast address, and no IPv4 address that is not is hidden in it.
func FuzzRefused(f *testing.F) {
	for _, seed := range []string{"8.8.8.8", "127.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001::1", "fe80::1", "2606:4700::1"} {
		f.Add(netip.MustParseAddr(seed).AsSlice())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		ip, ok := netip.AddrFromSlice(raw)
		if !ok || refused(ip, false) != "" {
			return
		}
		if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip.Is4In6() {
			t.Fatalf("%s is asked", ip)
		}
		if refused(ip, true) != "" {
			t.Fatalf("%s is asked by everybody but not where it is allowed", ip)
		}
		if ip.Is4() {
			first := binary.BigEndian.Uint32(ip.AsSlice())
			if first>>24 == 0 || first>>24 >= 224 || first>>22 == (100<<2|1) {
				t.Fatalf("%s is asked", ip)
			}
			return
		}
		if b := ip.As16(); b[0]>>5 != 1 || b[0] == 0x20 && b[1] == 0x02 || b[0] == 0x20 && b[1] == 0x01 && b[2] < 2 {
			t.Fatalf("%s is asked", ip)
		}
	})
}

// FuzzAddress: whatever is written for a URL and whatever is filled in, the host
// that is asked is the host that was checked.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		"https://crm.example/customers/{{id}}?x={{id}}", "https://127.1/", "https://0x7f.1/", "https://2130706433/", "https://0177.0.0.1/",
		"https://[::ffff:127.0.0.1]/", "https://[::1%25lo]/", "https://a@127.0.0.1/", "https://crm.example\\@127.0.0.1/", "https://crm.example#@127.0.0.1",
		"https://localhost./", "https://LOCALHOST/", "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "https://crm.example:443@127.0.0.1/", "https://{{id}}/", "https://crm.example:{{id}}/",
		"http://169.254.169.254/latest/meta-data", "https:///x", "https://%31%32%37.0.0.1/", "https://crm.example/%zz", "https://crm.example?{{id}}",
	} {
		f.Add(seed, "../../admin")
		f.Add(seed, "@127.0.0.1/")
		f.Add(seed, "x\r\nHost: y")
	}
	f.Fuzz(func(t *testing.T, raw, argument string) {
		a, err := parseAddress(raw)
		if err != nil {
			return
		}
		h, _ := newHosts(nil)
		if h.check("acme", a) == nil {
			if ip := net.ParseIP(strings.TrimSuffix(a.host, ".")); ip != nil {
				if addr, _ := netip.AddrFromSlice(ip); refused(addr.Unmap(), false) != "" {
					t.Fatalf("%q is let through to %s", raw, ip)
				}
			}
		}
		args := map[string]any{}
		for _, name := range a.names() {
			args[name] = argument
		}
		filled, err := a.fill(args)
		if err != nil {
			return
		}
		u, err := url.Parse(filled)
		if err != nil {
			return // http.NewRequest refuses it too
		}
		if u.User != nil || u.Fragment != "" || !strings.EqualFold(u.Hostname(), a.host) || u.Port() != a.port || u.Scheme != a.scheme {
			t.Fatalf("%q filled with %q goes to %q, not %q", raw, argument, filled, a.hostPort())
		}
		if len(a.path.Names()) > 0 && strings.Count(u.EscapedPath(), "/") != strings.Count(a.path.text(func(string) string { return "" }), "/") {
			t.Fatalf("%q filled with %q has another path: %q", raw, argument, filled)
		}
	})
}

func TestHosts(t *testing.T) {
	t.Parallel()
	h, err := newHosts([]string{"crm.lan", "10.1.2.3:8080", "shop/stock.lan:9000", "[fd00::1]:8443"})
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{ // account by account
		"http://crm.lan/x":                  "acme shop",
		"https://CRM.lan:8443/x":            "acme shop",
		"http://10.1.2.3:8080/":             "acme shop",
		"http://10.1.2.3:8081/":             "",
		"https://10.1.2.3/":                 "",
		"http://stock.lan:9000/":            "shop",
		"http://[fd00::1]:8443/":            "acme shop",
		"https://api.example/x":             "acme shop",
		"https://api.example:8443/x":        "",
		"http://api.example/x":              "",
		"https://localhost/x":               "",
		"https://169.254.169.254/latest":    "",
		"https://[::ffff:169.254.169.254]/": "",
	} {
		a, err := parseAddress(url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		var allowed []string
		for _, account := range []string{"acme", "shop"} {
			if h.check(account, a) == nil {
				allowed = append(allowed, account)
			}
		}
		if got := strings.Join(allowed, " "); got != want {
			t.Errorf("%s is for %q, want %q", url, got, want)
		}
	}
	for _, bad := range []string{"", "http://crm.lan", "/crm.lan", "a@b", "a/b/c"} {
		if _, err := newHosts([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
