package node

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// writeCertificate writes a certificate for 127.0.0.1 with the serial number, and
// its key.
func writeCertificate(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "hustings test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARenewedCertificateIsNoticed(t *testing.T) {
	dir := t.TempDir()
	c := &certificateFiles{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), log: slog.New(slog.DiscardHandler)}
	writeCertificate(t, c.cert, c.key, 1)
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c.checked = time.Time{} // as if the interval were over
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("at first: certificate %d", got)
	}
	touch := func(name string, ahead time.Duration) {
		if err := os.Chtimes(name, time.Time{}, time.Now().Add(ahead)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(c.cert, []byte("half wri"), 0o600); err != nil {
		t.Fatal(err)
	}
	touch(c.cert, time.Minute)
	if got := serial(); got != 1 {
		t.Errorf("while it is being written: certificate %d", got)
	}
	writeCertificate(t, c.cert, c.key, 2)
	touch(c.cert, 2*time.Minute)
	if got := serial(); got != 2 {
		t.Errorf("once it is written: certificate %d", got)
	}
}

func TestCertificatesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	cert, key, other := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem")
	writeCertificate(t, filepath.Join(dir, "x.pem"), other, 2)
	writeCertificate(t, cert, key, 1)
	for name, o := range map[string]Options{
		"missing":      {TLSCert: filepath.Join(dir, "none.pem"), TLSKey: key},
		"another key":  {TLSCert: cert, TLSKey: other},
		"not a secret": {TLSCert: cert, TLSKey: cert},
	} {
		if _, err := tlsConfig(t.Context(), o, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "certificate") && !strings.Contains(err.Error(), "--tls-cert") {
			t.Errorf("%s: %v", name, err)
		}
	}
	conf, err := tlsConfig(t.Context(), Options{TLSCert: cert, TLSKey: key}, nil, nil, nil)
	if err != nil || len(conf.NextProtos) != 1 || conf.NextProtos[0] != "http/1.1" {
		t.Errorf("a good one: %+v, %v", conf, err)
	}
	if conf, err := tlsConfig(t.Context(), Options{}, nil, nil, nil); conf != nil || err != nil {
		t.Errorf("plain HTTP: %+v, %v", conf, err)
	}
}

func TestWhatCertmagicLogsIsPassedOn(t *testing.T) {
	var out bytes.Buffer
	logger := zap.New(zapToSlog{slog.New(slog.NewTextHandler(&out, nil))})
	logger.Named("acme").Sugar().Infow("renewed", "name", "talk.example.org")
	logger.Debug("not said at this level")
	if got := out.String(); !strings.Contains(got, `msg="certificate: renewed"`) || !strings.Contains(got, "name=talk.example.org") || strings.Count(got, "\n") != 1 {
		t.Errorf("logged %q", got)
	}
}
