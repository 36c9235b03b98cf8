package node

import (
	"strings"
	"testing"
	"time"
)

func TestWrongSettingsAreRefusedWithTheReason(t *testing.T) {
	good := Options{Data: "d", Listen: "127.0.0.1:0"}
	with := func(change func(*Options)) Options {
		o := good
		change(&o)
		return o
	}
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"no folder":           {with(func(o *Options) { o.Data = "" }), "--data"},
		"no port":             {with(func(o *Options) { o.Listen = "localhost" }), "give HOST:PORT"},
		"a named port":        {with(func(o *Options) { o.Listen = ":http" }), "a number"},
		"too high a port":     {with(func(o *Options) { o.Listen = ":70000" }), "65535"},
		"a bad host":          {with(func(o *Options) { o.Listen = "my host:80" }), "an IP address or a name"},
		"UDP without port":    {with(func(o *Options) { o.WebRTCUDP = "x" }), "--webrtc-udp"},
		"not an IP":           {with(func(o *Options) { o.PublicIPs = []string{"1.2.3"} }), "--public-ip"},
		"domain and files":    {with(func(o *Options) { o.Domain, o.TLSCert, o.TLSKey = "a.example", "c", "k" }), "not both"},
		"cert without key":    {with(func(o *Options) { o.TLSCert = "c" }), "needs --tls-key"},
		"key without cert":    {with(func(o *Options) { o.TLSKey = "k" }), "needs --tls-cert"},
		"authority alone":     {with(func(o *Options) { o.ACME = "https://acme.example/directory" }), "--domain"},
		"authority is a name": {with(func(o *Options) { o.Domain, o.ACME = "a.example", "acme.example" }), "ACME directory"},
		"domain is an IP":     {with(func(o *Options) { o.Domain = "192.0.2.1" }), "certificates are for names"},
		"domain is IPv6":      {with(func(o *Options) { o.Domain = "[2001:db8::1]" }), "certificates are for names"},
		"domain is a URL":     {with(func(o *Options) { o.Domain = "https://a.example" }), "not the name"},
		"domain is local":     {with(func(o *Options) { o.Domain = "localhost" }), "not the name"},
		"URL with a path":     {with(func(o *Options) { o.PublicURL = "https://a.example/talk" }), "scheme and host only"},
		"URL of no scheme":    {with(func(o *Options) { o.PublicURL = "a.example" }), "scheme and host only"},
		"another database":    {with(func(o *Options) { o.Database = "mysql://x/y" }), "postgres://"},
		"a database's path":   {with(func(o *Options) { o.Database = "/var/db" }), "postgres://"},
		"another store":       {with(func(o *Options) { o.Recordings = "ftp://x" }), "s3://"},
		"no credentials":      {with(func(o *Options) { o.NATSCredentials = "/nowhere/x.creds" }), "--nats-creds"},
		"too much backlog":    {with(func(o *Options) { o.Backlog = time.Hour }), "--backlog"},
		"a negative backlog":  {with(func(o *Options) { o.Backlog = -1 }), "--backlog"},
		"no address of a bus": {with(func(o *Options) { o.BusListen = "4222" }), "--bus-listen"},
		"a bus and a cluster": {with(func(o *Options) { o.BusListen, o.NATS = ":4222", "nats://u:p@h" }), "give one of the two"},
		"no URL to join":      {with(func(o *Options) { o.Join = "core.example.org:4222" }), "--join"},
		"to join without":     {with(func(o *Options) { o.Join = "nats://core.example.org" }), "no credentials"},
		"an edge's database":  {with(func(o *Options) { o.Join, o.Database = "nats://u:p@h", "postgres://u:p@db/x" }), "--database"},
		"an edge's cluster":   {with(func(o *Options) { o.Join, o.NATS = "nats://u:p@h", "nats://u:p@h" }), "--nats"},
		"a key of no core":    {with(func(o *Options) { o.CoreKey = "x+y" }), "needs --join"},
		"a negative weight":   {with(func(o *Options) { o.Weight = -1 }), "--weight"},
		"too much weight":     {with(func(o *Options) { o.Weight = 1001 }), "--weight"},
		"no rung":             {with(func(o *Options) { o.Pace.Rung = 32 }), "--pin-rung"},
		"too short a turn":    {with(func(o *Options) { o.Pace.Interval = time.Millisecond }), "--pin-interval"},
		"too long a turn":     {with(func(o *Options) { o.Pace.Interval = time.Hour }), "--pin-interval"},
		"too deep a start":    {with(func(o *Options) { o.Pace.OpenDepth = time.Hour }), "--open-depth"},
		"a negative network":  {with(func(o *Options) { o.Pace.Egress = -1 }), "--max-egress"},
	} {
		_, err := New(c.options)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want something about %q", name, err, c.want)
		}
	}
	for name, o := range map[string]Options{
		"little":   good,
		"IPv6":     with(func(o *Options) { o.Listen = "[::1]:443" }),
		"a name":   with(func(o *Options) { o.Listen = "localhost:0" }),
		"domain":   with(func(o *Options) { o.Domain = "talk.example.org" }),
		"postgres": with(func(o *Options) { o.Database = "postgres://u:p@db/hustings" }),
		"a socket": with(func(o *Options) { o.Database = "postgres:///hustings?host=/run/postgresql" }),
		"s3":       with(func(o *Options) { o.Recordings = "s3://bucket?region=eu-central-1" }),
		"edges":    with(func(o *Options) { o.BusListen, o.Weight = ":4222", 10 }),
		"an edge":  with(func(o *Options) { o.Join, o.Weight = "tls://edge:x@core.example.org:4222", 0 }),
		"pinned": with(func(o *Options) {
			o.Pace = Pace{Interval: 4 * time.Second, Rung: 24, MaxDepth: 12 * time.Second, Egress: 950, OpenDepth: 6 * time.Second}
		}),
		"addresses": with(func(o *Options) { o.PublicIPs = []string{"192.0.2.1", "2001:db8::1"} }),
	} {
		if _, err := New(o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
