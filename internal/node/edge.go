package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hustings/internal/bus"
	"hustings/internal/edge"
	"hustings/internal/live"
	"hustings/internal/permit"
	"hustings/internal/space"
	"hustings/internal/web"
	"hustings/ui"
)

// toldWithin is how long an edge waits to be told what is on before it serves all the
// same: it then says to those who come that it does not know yet.
const toldWithin = 5 * time.Second

// joinBus joins the core's bus. It waits for as long as that takes: edges may be
// started first.
func (w *wiring) joinBus(ctx context.Context) (err error) {
	w.bus, err = bus.New(bus.Options{
		Name: w.name, URL: w.node.opts.Join, Credentials: w.node.opts.NATSCredentials, Logger: w.logger("bus"),
	})
	if err != nil {
		return fmt.Errorf("--join: %w", err)
	}
	w.crew.start(ctx, "bus", w.bus.Run)
	err = w.crew.awaitUntil(ctx, "the bus", w.bus.Ready(), nil)
	if errors.Is(err, bus.ErrRefused) {
		return fmt.Errorf("--join: %w: take the line that the server printed at its first start with --bus-listen; its secret is in edge.credentials in the server's data folder", err)
	}
	return err
}

func (w *wiring) startMembership(ctx context.Context) error {
	name, err := w.dir.edgeName()
	if err != nil {
		return err
	}
	key, err := w.dir.coreKey(w.node.opts.CoreKey)
	if err != nil {
		return err
	}
	public := w.listedURL()
	w.edge, err = edge.New(edge.Options{
		Bus: w.bus, Name: name, URL: public, Weight: w.node.opts.Weight, Version: w.node.opts.Version,
		Key: key, Pin: w.dir.pinCoreKey, Load: w.load, Changed: w.opened, Logger: w.logger("edge"), Metrics: w.figures,
	})
	if err != nil {
		return err
	}
	w.crew.start(ctx, "edge", w.edge.Run)
	timeout := time.NewTimer(toldWithin)
	defer timeout.Stop()
	select {
	case <-w.edge.Ready():
		return nil
	case err := <-w.crew.failed:
		if errors.Is(err, edge.ErrKey) {
			return fmt.Errorf("%w: if the server was set up anew and it is right, delete %s; else somebody is in its place", err, w.dir.file("core.key"))
		}
		return err
	case <-timeout.C:
		w.node.log.Warn("the server has not told yet what is on; listeners are asked to wait until it does")
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listedURL is where the list of edges says that this node is.
func (w *wiring) listedURL() string {
	public := w.addresses().Public
	if at := w.door.tcp.Addr().(*net.TCPAddr); publicURL(w.node.opts) == "" && at.IP.IsUnspecified() {
		w.node.log.Warn("people are sent here by an address of this machine alone: say by --public-url where they reach it", "url", public)
	}
	return public
}

// opened is told of each change of a space that an edge hears of, which may be before
// there is anything to send.
func (w *wiring) opened(sp space.Space) {
	if w.hears.Load() {
		w.open(sp)
	}
}

func (w *wiring) startEdgeWeb(ctx context.Context) error {
	permits, err := permit.NewVerifier(permit.VerifierOptions{Keys: w.edge.Keys, Measure: w.served})
	if err != nil {
		return err
	}
	w.tellOfRehearsals(ctx, permits)
	encoder, err := w.startAAC(ctx)
	if err != nil {
		return err
	}
	audience, err := live.New(live.Options{
		Spaces: w.edge, Programme: w.broadcast, AAC: encoder, Permits: permits,
		BaseURL: publicURL(w.node.opts), Logger: w.logger("live"),
	})
	if err != nil {
		return err
	}
	server, err := web.NewEdge(web.EdgeOptions{
		Spaces: w.edge, Programme: w.broadcast, Live: audience, Edges: w.edge.Edges, Home: w.edge.CoreURL,
		BaseURL: publicURL(w.node.opts), Pages: ui.Pages(), Keys: w.edge.Keys, Version: w.node.opts.Version,
		Ready: w.edgeReady, Metrics: promhttp.HandlerFor(w.figures, promhttp.HandlerOpts{}), Registry: w.figures,
		Logger: w.logger("web"),
	})
	if err != nil {
		return err
	}
	w.crew.start(ctx, "web", func(ctx context.Context) error { return server.Serve(ctx, w.door.http) }).leave = func(context.Context) error {
		w.edge.Leave() // before anybody is let go: nobody else is to be sent here
		return nil
	}
	return nil
}

func (w *wiring) edgeReady(context.Context) error {
	if w.node.draining.Load() {
		return errors.New("the server is going down")
	}
	return w.edge.Health()
}

// load says how busy this node is, and how many listen here.
func (w *wiring) load() (load float64, listeners int) {
	now := w.delivery.Load()
	return max(w.processor.share(), now.Busy), now.Listeners
}
