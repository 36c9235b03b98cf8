package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
)

// acme is a certificate authority that speaks ACME, and port 443 of every name,
// where it asks back: the router of a script, which leads to its server.
type acme struct {
	router net.Listener
	roots  *x509.CertPool
	leads  bool
}

// authority starts one for the script. It sets $ACME to its directory, and
// $SSL_CERT_FILE so that the program trusts it.
func authority(ts *testscript.TestScript, neg bool, args []string) {
	router, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	asksBack := va.New(quiet, 0, router.Addr().(*net.TCPAddr).Port, false, nameServer(ts), store)
	front := wfe.New(quiet, store, asksBack, issuer, []string{"ca.example.org"}, false, false, 1, 1)
	s := httptest.NewTLSServer(front.Handler())
	ts.Defer(func() {
		s.Close()
		router.Close()
	})
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs("authority.pem"), own, 0o600))
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs("authority.pem"))
	ts.Setenv("ACME", s.URL+wfe.DirectoryPath)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(issuer.GetRootCert(0).PEM())
	serverOf(ts).acme = &acme{router: router, roots: roots}
}

// nameServer answers that every name is this machine, until the script ends.
func nameServer(ts *testscript.TestScript) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the authority asks by TCP
	ts.Check(err)
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		for _, q := range question.Question {
			if q.Qtype == dns.TypeA {
				answer.Answer = append(answer.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
				})
			}
		}
		_ = w.WriteMsg(answer)
	})}
	go func() { _ = s.ActivateAndServe() }()
	ts.Defer(func() { l.Close() })
	return l.Addr().String()
}

// trusted waits until the server has the authority's certificate for the name.
func trusted(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: trusted name")
	}
	a := serverOf(ts).acme
	if !a.leads {
		a.leads = true
		go route(a.router, ts.Getenv("ADDR"))
	}
	conf := &tls.Config{ServerName: args[0], RootCAs: a.roots, NextProtos: []string{"h2", "http/1.1"}}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // between two looks at the condition
		conn, err := tls.Dial("tcp", a.router.Addr().String(), conf)
		if err == nil {
			defer conn.Close()
			if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
				ts.Fatalf("the protocol is %q: a stream over anything but HTTP/1.1 can't be taken over", got)
			}
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no certificate for %s: %v: %s", args[0], err, ts.ReadFile("server.log"))
		}
	}
}

func route(from net.Listener, to string) {
	for {
		in, err := from.Accept()
		if err != nil {
			return
		}
		go lead(in, to)
	}
}

func lead(in net.Conn, to string) {
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(out, in)
		out.Close()
	}()
	_, _ = io.Copy(in, out)
}
