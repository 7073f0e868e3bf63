package function

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/usherhq/usher/internal/fault"
)

// address is a function's URL with {{argument}} in its path and query.
type address struct {
	scheme, host, port string
	path, query        Template
}

// parseAddress takes a URL apart before anything is filled in: an argument can
// change neither the scheme nor the host.
func parseAddress(raw string) (*address, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("has %d bytes; the limit is %d", len(raw), maxURL)
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return nil, errors.New("must begin with https://")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	if strings.ContainsAny(authority, "{}") {
		return nil, errors.New("has an argument in its host; only path and query may hold {{argument}}")
	}
	if strings.Contains(authority, "@") {
		return nil, errors.New("holds a user; put credentials into secret_headers")
	}
	if strings.ContainsAny(tail, "#\\") || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, errors.New("holds a fragment, a backslash or a blank")
	}
	u, err := url.Parse(scheme + "://" + authority + "/")
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("has no valid host")
	}
	a := &address{scheme: scheme, host: strings.ToLower(u.Hostname()), port: u.Port()}
	if a.port == "" {
		a.port = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	path, query, _ := strings.Cut(tail, "?")
	a.path, a.query = ParseTemplate(path), ParseTemplate(query)
	// Whatever is filled in is escaped, so one filling stands for all.
	filled := a.path.text(func(string) string { return "x" })
	if _, err := url.Parse(scheme + "://" + authority + filled); err != nil {
		return nil, errors.New("has a path that is not well escaped")
	}
	return a, nil
}

func (a *address) hostPort() string { return net.JoinHostPort(a.host, a.port) }

// names lists the arguments that the address holds.
func (a *address) names() []string { return append(a.path.Names(), a.query.Names()...) }

// fill makes the URL. Each value is one part of the path, or one value of the
// query, whatever it holds.
func (a *address) fill(args map[string]any) (string, error) {
	for _, name := range a.names() {
		if v := args[name]; v == nil || v == "" {
			return "", &argumentError{name: name, why: "has no value"}
		}
	}
	var bad error
	path := a.path.text(func(name string) string {
		s := spell(args[name])
		// Escaped dots are dots to many servers.
		if s == "." || s == ".." {
			bad = &argumentError{name: name, why: "is only dots"}
		}
		return url.PathEscape(s)
	})
	query := a.query.text(func(name string) string { return url.QueryEscape(spell(args[name])) })
	out := a.scheme + "://" + a.hostPort() + path
	if query != "" {
		out += "?" + query
	}
	return out, bad
}

// argumentError is a call that cannot be made with these arguments.
type argumentError struct{ name, why string }

func (e *argumentError) Error() string {
	return fmt.Sprintf("argument %q of the address %s", e.name, e.why)
}

// hosts are the addresses that an installation allows inside its network.
type hosts map[string]struct{}

// newHosts reads entries host, host:port and account/host:port.
func newHosts(entries []string) (hosts, error) {
	out := hosts{}
	var c fault.Check
	for i, e := range entries {
		account, hostPort, ok := strings.Cut(strings.ToLower(e), "/")
		if !ok {
			account, hostPort = "", account
		}
		u, err := url.Parse("http://" + hostPort + "/")
		if err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(hostPort, "/") || ok && account == "" {
			c.Add(fmt.Sprintf("private_hosts[%d]", i), "%q must be host, host:port or account/host:port", e)
			continue
		}
		out[account+"/"+net.JoinHostPort(u.Hostname(), u.Port())] = struct{}{}
	}
	return out, c.Err("the configuration of functions is not valid")
}

// admits says whether the installation allows the account to reach a host of its
// network on a port.
func (h hosts) admits(account, host, port string) bool {
	for _, owner := range []string{"", account} {
		for _, p := range []string{port, ""} {
			if _, ok := h[owner+"/"+net.JoinHostPort(host, p)]; ok {
				return true
			}
		}
	}
	return false
}

// check refuses an address that would be refused when it is called, as far as
// its spelling tells.
func (h hosts) check(account string, a *address) error {
	if h.admits(account, a.host, a.port) {
		return nil
	}
	const advice = "; an operator can allow it with decision.function_hosts"
	if a.scheme != "https" {
		return errors.New("must begin with https://" + advice)
	}
	if a.port != "443" {
		return fmt.Errorf("has port %s; only 443 is asked%s", a.port, advice)
	}
	if a.host == "localhost" || strings.HasSuffix(a.host, ".localhost") {
		return errors.New("is this machine" + advice)
	}
	if ip, err := netip.ParseAddr(a.host); err == nil {
		if why := refused(ip, false); why != "" {
			return fmt.Errorf("is %s%s", why, advice)
		}
	}
	return nil
}

// dialControl is for net.Dialer.Control: it sees the address that is really
// dialled, after DNS, so a name that changes its mind does not get past it.
func dialControl(private bool) func(network, address string, _ syscall.RawConn) error {
	return func(network, address string, _ syscall.RawConn) error {
		if network != "tcp4" && network != "tcp6" {
			return &refusal{why: "not reached over TCP"}
		}
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return &refusal{why: "no address"}
		}
		if why := refused(at.Addr(), private); why != "" {
			return &refusal{why: why}
		}
		return nil
	}
}

// refusal is why an address is not dialled. It does not tell the address: what a
// name resolves to inside a network is nobody's business outside.
type refusal struct{ why string }

func (r *refusal) Error() string { return "its address is " + r.why }

// block is a range of addresses that functions never reach, or only when the
// installation allows it.
type block struct {
	prefix  netip.Prefix
	why     string
	private bool // can be allowed
}

// blocks lists what is not the public Internet: the special-purpose registries
// of IANA, and the forms that carry an IPv4 address inside an IPv6 one.
func blocks() []block {
	return []block{
		{netip.MustParsePrefix("127.0.0.0/8"), "on this machine", true},
		{netip.MustParsePrefix("10.0.0.0/8"), "in a private network", true},
		{netip.MustParsePrefix("172.16.0.0/12"), "in a private network", true},
		{netip.MustParsePrefix("192.168.0.0/16"), "in a private network", true},
		{netip.MustParsePrefix("100.64.0.0/10"), "in a provider's network", true},
		{netip.MustParsePrefix("::1/128"), "on this machine", true},
		{netip.MustParsePrefix("fc00::/7"), "in a private network", true},
		{netip.MustParsePrefix("0.0.0.0/8"), "of no host", false},
		{netip.MustParsePrefix("169.254.0.0/16"), "link-local", false},
		{netip.MustParsePrefix("192.0.0.0/24"), "reserved", false},
		{netip.MustParsePrefix("192.0.2.0/24"), "for documentation", false},
		{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay", false},
		{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks", false},
		{netip.MustParsePrefix("198.51.100.0/24"), "for documentation", false},
		{netip.MustParsePrefix("203.0.113.0/24"), "for documentation", false},
		{netip.MustParsePrefix("224.0.0.0/4"), "multicast", false},
		{netip.MustParsePrefix("240.0.0.0/4"), "reserved", false},
	}
}

// public6 is what of IPv6 is in use on the Internet; within holds what of it is
// not a plain host: Teredo, ORCHID, documentation, 6to4.
var (
	public6 = netip.MustParsePrefix("2000::/3")
	within6 = [...]netip.Prefix{
		netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
	}
)

// refused tells why an address is not asked; empty when it is. private says that
// the installation allows the host inside its network, which never opens
// link-local addresses: those of clouds answer with credentials.
func refused(ip netip.Addr, private bool) string {
	switch {
	case !ip.IsValid():
		return "no address"
	case ip.Zone() != "":
		return "link-local"
	case ip.Is4In6():
		return "an IPv4 address mapped into IPv6"
	}
	for _, b := range blocks() {
		if b.prefix.Contains(ip) {
			if b.private && private {
				return ""
			}
			return b.why
		}
	}
	if ip.Is4() {
		return ""
	}
	if !public6.Contains(ip) {
		return "not on the Internet, or carries another address"
	}
	for _, p := range within6 {
		if p.Contains(ip) {
			return "reserved, or carries another address"
		}
	}
	return ""
}
