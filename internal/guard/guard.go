// Package guard is what is so for every request, whatever it asks for: how much
// and how long it may take, what other sites' pages may read, that each refusal
// has one form, and what the log and the figures say of it.
//
//	g, err := guard.New(guard.Options{Refuse: problem})
//	handler := g.Observe(g.Route(mux))
//	err = g.Serve(ctx, listener, handler)
//
// It knows no address and nothing of what is answered there.
package guard

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits on requests. What is longer in coming or larger is refused before anyone
// works on it.
const (
	MaxBody = 64 << 10 // bytes; the largest is an SDP offer of about 10 kB

	headerTime  = 5 * time.Second  // to send the request's head
	requestTime = 15 * time.Second // to send all of it
	idleTime    = 60 * time.Second // between two requests on one connection
	stallTime   = 60 * time.Second // to take the next part of an answer
	maxHeader   = 16 << 10         // bytes
	goodbyeTime = 3 * time.Second  // for requests under way when the server stops
)

// Options say how to guard. Refuse is required.
type Options struct {
	// Refuse answers no: detail tells a person what to do. It keeps the headers that
	// are set already.
	Refuse   func(rw http.ResponseWriter, r *http.Request, status int, detail string)
	Stall    time.Duration         // how long a client may take nothing of an answer; 0: a minute
	Registry prometheus.Registerer // takes the count of requests; nil: none
	Logger   *slog.Logger          // nil: discard
}

// Guard is safe for use by many goroutines.
type Guard struct {
	Options
	log      *slog.Logger
	requests *prometheus.CounterVec // by route and status
}

// New checks the options.
func New(o Options) (*Guard, error) {
	if o.Refuse == nil {
		return nil, errors.New("guard: no form to refuse in")
	}
	if o.Stall == 0 {
		o.Stall = stallTime
	}
	g := &Guard{Options: o, log: o.Logger, requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hustings_http_requests_total", Help: "Requests answered, by route and status; 101 when the connection was taken over.",
	}, []string{"route", "status"})}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if o.Registry != nil {
		if err := o.Registry.Register(g.requests); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Serve answers on the listener until ctx is done, then lets the requests under
// way finish. Connections that were taken over are left to whoever has them, but
// their requests' context ends with ctx. It closes the listener.
func (g *Guard) Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := g.server(ctx, handler)
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

func (g *Guard) server(ctx context.Context, handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		// Broken handshakes and the like: the world is full of them.
		ErrorLog: slog.NewLogLogger(quiet{g.log.Handler()}, slog.LevelDebug),
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

// Observe logs and counts each request: by its route, never by its whole address,
// in which tokens may be, and without the address of who asks. A handler that
// panics costs its own request alone.
func (g *Guard) Observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a := &answer{ResponseWriter: rw, route: "none", stall: g.Stall}
		a.allow()
		defer func() {
			fault := recover()
			if fault != nil {
				g.mend(a, r, fault)
			}
			g.requests.WithLabelValues(a.route, strconv.Itoa(a.code())).Inc()
			if g.log.Enabled(r.Context(), slog.LevelDebug) { // else a crowd's requests would make what nobody reads
				g.log.Debug("request", "method", r.Method, "route", a.route, "status", a.code(), "bytes", a.bytes, "took", time.Since(began))
			}
			if fault != nil && a.begun {
				panic(http.ErrAbortHandler) // what was begun can't be finished: cut it
			}
		}()
		next.ServeHTTP(a, r)
	})
}

// mend sees to a request whose handler panicked.
func (g *Guard) mend(a *answer, r *http.Request, fault any) {
	a.begun = a.status != 0 || a.bytes > 0 || a.hijacked
	if fault == http.ErrAbortHandler { // it wants the connection cut, and no more
		a.begun = true
		return
	}
	g.log.Error("a request panicked", "route", a.route, "fault", fault, "stack", string(debug.Stack()))
	if !a.begun {
		g.Refuse(a, r, http.StatusInternalServerError, "something went wrong on our side; try again, and if it stays so, ask whoever runs this server to look into its log")
	}
}
