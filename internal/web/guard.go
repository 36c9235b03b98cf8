package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits on requests. What is longer in coming or larger is refused before anyone
// works on it.
const (
	headerTime  = 5 * time.Second  // to send the request's head
	requestTime = 15 * time.Second // to send all of it
	idleTime    = 60 * time.Second // between two requests on one connection
	maxHeader   = 16 << 10         // bytes
	maxBody     = 64 << 10         // bytes; the largest is an SDP offer of about 10 kB
	goodbyeTime = 3 * time.Second  // for requests under way when the server stops
)

// Serve answers on the listener until ctx is done, then lets the requests under
// way finish. WebSockets are told to go; connections that broadcast took over are
// its own. It closes the listener.
func (w *Web) Serve(ctx context.Context, listener net.Listener) error {
	server := w.server(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime)
		defer cancel()
		if err := server.Shutdown(last); err != nil {
			_ = server.Close() // whoever is left had their time
		}
	}()
	err := server.Serve(listener)
	if ctx.Err() == nil {
		return err // the goroutine above ends with ctx
	}
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (w *Web) server(ctx context.Context) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           w.handler,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		// Broken handshakes and the like: the world is full of them.
		ErrorLog: slog.NewLogLogger(quiet{w.log.Handler()}, slog.LevelDebug),
	}
}

// quiet drops what net/http says of other people's connections: it names their
// addresses.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, record slog.Record) error {
	if strings.HasPrefix(record.Message, "http: TLS handshake error") {
		return nil
	}
	return q.Handler.Handle(ctx, record)
}

// guard holds what is so for every request: limits, headers, who asks.
func (w *Web) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		header := rw.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		v := w.visit(r)
		if v.secure {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if strings.HasPrefix(r.URL.Path, "/api/") {
			openToAll(header)
			header.Set("Cache-Control", "no-store")
		}
		r.Body = http.MaxBytesReader(rw, r.Body, maxBody)
		next.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	})
}

// openToAll lets pages of other sites read the answer. They can't use our cookie:
// a browser does not send it along with "*".
func openToAll(header http.Header) {
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After, Accept-Post, Accept-Patch, Content-Range, WWW-Authenticate")
}

// routed gives the mux's own refusals (no such path, no such method) the form of
// all others, and answers the question that a browser asks before it lets another
// site's page send something (CORS preflight).
func (w *Web) routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			if a, ok := rw.(*answer); ok {
				a.route = pattern
			}
			mux.ServeHTTP(rw, r)
			return
		}
		refusal := refusalOf(mux, r)
		switch {
		case refusal.status == http.StatusMethodNotAllowed && r.Method == http.MethodOptions:
			preflight(rw, refusal.header.Get("Allow"))
		case refusal.status == http.StatusMethodNotAllowed:
			wrongMethod(rw, r, refusal.header.Get("Allow"))
		case refusal.status >= 300 && refusal.status < 400:
			mux.ServeHTTP(rw, r) // a path with // or .. in it
		default:
			problemf(http.StatusNotFound, "there is nothing at this address; check the link").write(rw, r)
		}
	})
}

// refused is a ResponseWriter that keeps what the mux answers by itself.
type refused struct {
	header http.Header
	status int
}

func refusalOf(mux *http.ServeMux, r *http.Request) *refused {
	refusal := &refused{header: http.Header{}}
	mux.ServeHTTP(refusal, r)
	return refusal
}

func (f *refused) Header() http.Header         { return f.header }
func (f *refused) WriteHeader(status int)      { f.status = status }
func (f *refused) Write(p []byte) (int, error) { return len(p), nil }

func preflight(rw http.ResponseWriter, allow string) {
	header := rw.Header()
	header.Set("Allow", allow)
	openToAll(header)
	header.Set("Access-Control-Allow-Methods", allow)
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	header.Set("Access-Control-Max-Age", "86400")
	rw.WriteHeader(http.StatusNoContent)
}

func wrongMethod(rw http.ResponseWriter, r *http.Request, allow string) {
	p := problemf(http.StatusMethodNotAllowed, "this address does not take "+r.Method+"; it takes "+allow)
	p.header.Set("Allow", allow)
	p.write(rw, r)
}

// figures count requests.
type figures struct {
	requests *prometheus.CounterVec // by route and status
	sockets  prometheus.Gauge       // open WebSockets
}

func newFigures(registry prometheus.Registerer) (*figures, error) {
	f := &figures{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hustings_http_requests_total", Help: "Requests answered, by route and status; 101 when the connection was taken over.",
		}, []string{"route", "status"}),
		sockets: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hustings_stage_sockets", Help: "Open WebSockets of stages.",
		}),
	}
	if registry == nil {
		return f, nil
	}
	return f, errors.Join(registry.Register(f.requests), registry.Register(f.sockets))
}

// observe logs and counts each request: by its route, never by its whole address,
// in which tokens may be, and without the address of who asks.
func (w *Web) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a := &answer{ResponseWriter: rw, route: "none"}
		next.ServeHTTP(a, r)
		w.figures.requests.WithLabelValues(a.route, strconv.Itoa(a.code())).Inc()
		w.log.Debug("request", "method", r.Method, "route", a.route, "status", a.code(), "bytes", a.bytes, "took", time.Since(began))
	})
}

// answer is a ResponseWriter that remembers what was answered.
type answer struct {
	http.ResponseWriter
	route    string // pattern of the mux
	status   int
	bytes    int64
	hijacked bool
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the way from a file to the socket short (sendfile).
func (a *answer) ReadFrom(from io.Reader) (int64, error) {
	n, err := io.Copy(a.ResponseWriter, from)
	a.bytes += n
	return n, err
}

// Hijack hands over the connection.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	a.hijacked = err == nil
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) code() int {
	switch {
	case a.hijacked:
		return http.StatusSwitchingProtocols
	case a.status == 0:
		return http.StatusOK
	default:
		return a.status
	}
}
