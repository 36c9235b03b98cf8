package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// alpn is HTTP/1.1 alone: over HTTP/2 a listener's stream could not be taken over
// from the server that accepted it.
const alpn = "http/1.1"

// tlsConfig returns how HTTPS is served, nil for plain HTTP.
func tlsConfig(ctx context.Context, o Options, dir *folder, at net.Addr, log *slog.Logger) (*tls.Config, error) {
	switch {
	case o.Domain != "":
		return managedTLS(ctx, o.Domain, cmp.Or(o.ACME, certmagic.LetsEncryptProductionCA), dir.file("certificates"), at, log)
	case o.TLSCert != "":
		files := &certificateFiles{cert: o.TLSCert, key: o.TLSKey, log: log}
		if err := files.load(); err != nil {
			return nil, err
		}
		return &tls.Config{GetCertificate: files.get, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS12}, nil
	}
	return nil, nil
}

// certificateFiles serve a certificate from files, and notice when it was renewed.
type certificateFiles struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex // guards what follows
	loaded  *tls.Certificate
	changed time.Time // of the newer of the two files, when they were loaded
	checked time.Time
}

// checkFilesEvery is how long a renewed certificate may go unnoticed.
const checkFilesEvery = 10 * time.Second

// load reads the files.
func (c *certificateFiles) load() error {
	changed, err := c.lastChange()
	if err != nil {
		return fmt.Errorf("cannot read the certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("--tls-cert %s and --tls-key %s cannot be used: %w", c.cert, c.key, err)
	}
	c.loaded, c.changed, c.checked = &pair, changed, time.Now()
	return nil
}

func (c *certificateFiles) lastChange() (time.Time, error) {
	cert, err1 := os.Stat(c.cert)
	key, err2 := os.Stat(c.key)
	if err := errors.Join(err1, err2); err != nil {
		return time.Time{}, err
	}
	if key.ModTime().After(cert.ModTime()) {
		return key.ModTime(), nil
	}
	return cert.ModTime(), nil
}

// get returns the certificate for a handshake. While a renewal is half written the
// one before it stays in use.
func (c *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) > checkFilesEvery {
		c.checked = time.Now()
		if changed, err := c.lastChange(); err != nil || !changed.Equal(c.changed) {
			if err := c.load(); err != nil {
				c.log.Error("the renewed certificate cannot be used; the one before it stays in use", "err", err)
			} else {
				c.log.Info("the certificate was renewed")
			}
		}
	}
	return c.loaded, nil
}

// managedTLS fetches a certificate for the domain by ACME (RFC 8555, RFC 8737) and renews it for as long
// as ctx lasts. The authority asks back on port 443, which therefore has to lead
// here: directly, or through a router that maps it to --listen.
func managedTLS(ctx context.Context, domain, authority, dir string, at net.Addr, log *slog.Logger) (*tls.Config, error) {
	logger := zap.New(zapToSlog{log})
	listener, ok := at.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("--domain %s: a certificate can be had on a TCP port only", domain)
	}
	var config *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return config, nil },
		Logger:           logger,
	})
	context.AfterFunc(ctx, cache.Stop)
	config = certmagic.New(cache, certmagic.Config{Storage: &certmagic.FileStorage{Path: dir}, Logger: logger})
	config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(config, certmagic.ACMEIssuer{
		CA: authority, Agreed: true, DisableHTTPChallenge: true, Logger: logger,
		// Who asks back is answered by our own listener, which this names.
		ListenHost: listener.IP.String(), AltTLSALPNPort: listener.Port,
	})}
	// In the background: a server whose certificate is slow to come still starts,
	// and says in its log why it is not reached.
	if err := config.ManageAsync(ctx, []string{domain}); err != nil {
		return nil, fmt.Errorf("--domain %s: %w", domain, err)
	}
	serve := config.TLSConfig()
	serve.NextProtos = []string{alpn, "acme-tls/1"}
	return serve, nil
}

// zapToSlog passes on what certmagic logs, which it does by zap.
type zapToSlog struct{ log *slog.Logger }

func (z zapToSlog) Enabled(level zapcore.Level) bool {
	return z.log.Enabled(context.Background(), slogLevel(level))
}

func (z zapToSlog) With(fields []zapcore.Field) zapcore.Core {
	return zapToSlog{z.log.With(slogArgs(fields)...)}
}

func (z zapToSlog) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if z.Enabled(entry.Level) {
		return checked.AddCore(entry, z)
	}
	return checked
}

func (z zapToSlog) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	z.log.Log(context.Background(), slogLevel(entry.Level), "certificate: "+entry.Message, slogArgs(fields)...)
	return nil
}

func (zapToSlog) Sync() error { return nil }

func slogLevel(level zapcore.Level) slog.Level {
	switch level {
	case zapcore.DebugLevel:
		return slog.LevelDebug
	case zapcore.InfoLevel:
		return slog.LevelInfo
	case zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

func slogArgs(fields []zapcore.Field) []any {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(values)
	}
	var args []any
	for key, value := range values.Fields {
		args = append(args, key, value)
	}
	return args
}
