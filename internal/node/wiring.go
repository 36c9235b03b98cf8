package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hustings/internal/archive"
	"hustings/internal/blob"
	"hustings/internal/broadcast"
	"hustings/internal/bus"
	"hustings/internal/delivery"
	"hustings/internal/desk"
	"hustings/internal/edge"
	"hustings/internal/live"
	"hustings/internal/mix/hold"
	"hustings/internal/permit"
	"hustings/internal/space"
	"hustings/internal/stage"
	"hustings/internal/store"
	"hustings/internal/token"
	"hustings/internal/web"
	"hustings/ui"
)

const (
	// goDownWithin is how long a node takes to end, at most; whoever started it may
	// kill it after 10 s.
	goDownWithin = 9 * time.Second
	// drainWithin is how long listeners have for their last block.
	drainWithin = 3 * time.Second
	// comeUpWithin is how long others (a database, NATS) have to answer.
	comeUpWithin = 30 * time.Second
)

// wiring is a node that comes up or runs. Each step fills in what the later ones
// use; comeUp says in which order, and why.
type wiring struct {
	node *Node
	name string // of this process among those on one bus
	dir  *folder
	door *door
	keys *keys // nil on an edge
	crew *crew

	figures   *prometheus.Registry
	store     *store.Store
	blob      *blob.Store
	bus       *bus.Bus
	archive   *archive.Archive
	delivery  *delivery.Loops
	broadcast *broadcast.Broadcast
	hears     atomic.Bool // broadcast is there
	edges     *edge.Core  // nil if none can join
	edge      *edge.Edge  // nil unless this node is one
	stage     *stage.Stages
	desk      *desk.Desk
	office    *permit.Office
	processor processor
}

func (n *Node) wire(dir *folder, door *door) *wiring {
	w := &wiring{node: n, name: nodeName(), dir: dir, door: door, crew: newCrew(n.log), figures: prometheus.NewRegistry()}
	w.figures.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return w
}

// shortToken is the length below which an owner's token is warned of. The one that
// is made has 43 characters.
const shortToken = 16

func (w *wiring) loadKeys(context.Context) (err error) {
	if w.keys, err = w.dir.loadKeys(w.node.opts); err != nil {
		return err
	}
	if len(w.keys.owner) < shortToken {
		w.node.log.Warn("HUSTINGS_OWNER_TOKEN is so short that it can be guessed, and it opens everything: use 32 characters or more")
	}
	return nil
}

func (w *wiring) openStores(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, comeUpWithin)
	defer cancel()
	dsn, hint := w.node.opts.Database, "--database: %w"
	if dsn == "" {
		dsn, hint = w.dir.file("hustings.db"), "the database in the data folder: %w"
	}
	w.store, err = store.Open(ctx, store.Options{DSN: dsn, Logger: w.logger("store")})
	if err != nil {
		return fmt.Errorf(hint, err)
	}
	where := w.node.opts.Recordings
	if where == "" {
		where = "file://" + w.dir.file("recordings")
	}
	if w.blob, err = blob.Open(ctx, where); err == nil {
		err = w.blob.Check(ctx)
	}
	if err != nil {
		return fmt.Errorf("--recordings: %w", err)
	}
	return nil
}

func (w *wiring) startBus(ctx context.Context) (err error) {
	o := bus.Options{
		Name: w.name, URL: w.node.opts.NATS, Credentials: w.node.opts.NATSCredentials,
		Listen: w.node.opts.BusListen, Secret: w.keys.edges.text, Logger: w.logger("bus"),
	}
	flag := "--nats"
	if o.Listen != "" {
		flag = "--bus-listen"
		if w.door.tls != nil {
			o.TLS = w.door.tls.Clone()
			o.TLS.NextProtos = nil // those are of HTTP
		}
	}
	if w.bus, err = bus.New(o); err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	w.crew.start(ctx, "bus", w.bus.Run)
	return w.crew.await(ctx, "NATS", w.bus.Ready())
}

func (w *wiring) startArchive(ctx context.Context) (err error) {
	w.archive, err = archive.New(archive.Options{
		Dir: w.dir.file("programme"), Bus: w.bus, Blob: shelf{w.blob}, Verifier: w.keys.log.Verifier(),
		Logger: w.logger("archive"), Metrics: w.figures,
	})
	if err != nil {
		return err
	}
	w.crew.start(ctx, "archive", w.archive.Run)
	return w.crew.await(ctx, "the archive", w.archive.Ready())
}

func (w *wiring) startDelivery(ctx context.Context) (err error) {
	w.delivery, err = delivery.New(delivery.Options{Logger: w.logger("delivery")})
	if err != nil {
		return err
	}
	w.crew.start(ctx, "delivery", w.delivery.Run)
	return nil
}

func (w *wiring) startBroadcast(ctx context.Context) (err error) {
	heard := newWatched(w.bus)
	o := broadcast.Options{
		Bus: heard, Delivery: w.delivery, Node: w.name, Backlog: w.node.opts.Backlog, Elastic: w.node.opts.Pace.elastic(),
		Connected: w.bus.Connected, Logger: w.logger("broadcast"), Metrics: w.figures,
	}
	if w.edge != nil {
		o.Check, o.Fetch, o.Snapshot = w.edge.Check, w.edge.Fetch, w.edge.Snapshot
	} else {
		// After a restart, listeners who come back find what was just said.
		past := edge.Reader{Bus: w.bus}
		o.Fetch, o.Snapshot = past.Fetch, past.Snapshot
	}
	if w.broadcast, err = broadcast.New(o); err != nil {
		return err
	}
	w.hears.Store(true)
	w.crew.start(ctx, "broadcast", w.broadcast.Run).leave = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drainWithin)
		defer cancel()
		return w.broadcast.Drain(ctx)
	}
	return w.crew.await(ctx, "the broadcast", heard.subscribed)
}

// startEdges lets edges join, by a port of our own or by the cluster.
func (w *wiring) startEdges(ctx context.Context) (err error) {
	o := w.node.opts
	if o.BusListen == "" && o.NATS == "" {
		return nil
	}
	w.edges, err = edge.NewCore(edge.CoreOptions{
		Bus: w.bus, Signer: w.keys.log, Spaces: w.store, URL: w.listedURL(), Weight: o.Weight, Version: o.Version,
		Load: w.load, Logger: w.logger("edges"), Metrics: w.figures,
	})
	if err != nil {
		return err
	}
	if at := w.bus.Address(); at != "" {
		w.node.log.Info("edges can join", "at", at)
	}
	w.crew.start(ctx, "edges", w.edges.Run)
	return w.crew.await(ctx, "who answers edges", w.edges.Ready())
}

// edgeList returns the signed list of who serves listeners; "" for this server alone.
func (w *wiring) edgeList() string {
	if w.edges == nil {
		return ""
	}
	return w.edges.Edges()
}

func (w *wiring) pulseEdges() string {
	if w.edges == nil {
		return ""
	}
	return w.edges.PulseEdges()
}

// changed sees to what follows from a change of a space, here and on edges.
func (w *wiring) changed(sp space.Space) {
	w.open(sp)
	if w.edges != nil {
		w.edges.Changed(sp)
	}
}

// open lets those who come to an announced start have as much in hand as was settled.
func (w *wiring) open(sp space.Space) {
	if depth := w.node.opts.Pace.OpenDepth; depth > 0 && sp.StartsAt != nil && sp.Phase.OnAir() {
		w.broadcast.Deepen(depth)
	}
}

func (w *wiring) startStage(ctx context.Context) (err error) {
	w.stage, err = stage.New(stage.Options{
		// Loopback too, for voices from this machine: the demo's, or a publisher's.
		UDP: w.door.udp, Loopback: true, ICETCP: w.door.ice, PublicIPs: w.node.opts.PublicIPs,
		Publish: w.bus.Publish, Subscribe: w.bus.Subscribe, Resume: w.archive.Resume, Edges: w.pulseEdges,
		Signer: w.keys.log, Hold: hold.PCM(), Logger: w.logger("stage"), Metrics: w.figures,
	})
	if err != nil {
		return fmt.Errorf("cannot open the port of WebRTC: %w (--webrtc-udp names another)", err)
	}
	w.crew.start(ctx, "stage", w.stage.Run)
	return nil
}

func (w *wiring) startDesk(ctx context.Context) (err error) {
	w.desk, err = desk.New(desk.Options{
		Store: w.store, Stage: w.stage, Archive: w.archive, Tokens: w.keys.tokens, OwnerToken: w.keys.owner,
		Changed: w.changed, Logger: w.logger("desk"),
	})
	if err != nil {
		return err
	}
	// One space that cannot be taken up again must not keep the others off the air.
	if err := w.desk.Recover(ctx); err != nil {
		w.node.log.Error("not every space could be taken up again", "err", err)
	}
	return nil
}

func (w *wiring) startWeb(ctx context.Context) error {
	encoder, err := w.startAAC(ctx)
	if err != nil {
		return err
	}
	audience, err := live.New(live.Options{
		Spaces: w.desk, Programme: w.broadcast, AAC: encoder, Permits: w.office, BaseURL: publicURL(w.node.opts), Logger: w.logger("live"),
	})
	if err != nil {
		return err
	}
	server, err := web.New(web.Options{
		Desk: w.desk, Stage: w.stage, Programme: w.broadcast, Archive: w.archive, Live: audience,
		Rehearsals: w.office, Edges: w.edgeList,
		BaseURL: publicURL(w.node.opts), Pages: ui.Pages(), Keys: w.verifiers, Version: w.node.opts.Version,
		Ready: w.ready, Metrics: promhttp.HandlerFor(w.figures, promhttp.HandlerOpts{}), Registry: w.figures,
		Logger: w.logger("web"),
	})
	if err != nil {
		return err
	}
	w.crew.start(ctx, "web", func(ctx context.Context) error { return server.Serve(ctx, w.door.http) })
	return nil
}

// verifiers are the keys by which the programme is checked.
func (w *wiring) verifiers() []string { return []string{w.keys.log.Verifier()} }

// ready reports whether the node can do its work.
func (w *wiring) ready(ctx context.Context) error {
	if w.node.draining.Load() {
		return errors.New("the server is going down")
	}
	return errors.Join(w.store.Ping(ctx), w.archive.Health())
}

// logger returns the logger of a room.
func (w *wiring) logger(room string) *slog.Logger { return w.node.log.With("room", room) }

// nodeName names this process among those on one bus.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "hustings"
	}
	// It is a word of a subject on the bus, where dots part words.
	return strings.ReplaceAll(host, ".", "-") + "-" + token.Name(6)
}

// watched is a bus that tells when it was subscribed to.
type watched struct {
	*bus.Bus
	subscribed chan struct{}
}

func newWatched(b *bus.Bus) *watched { return &watched{Bus: b, subscribed: make(chan struct{})} }

// Subscribe is to be called once.
func (w *watched) Subscribe(subject string, handle func(string, []byte)) (stop func(), err error) {
	stop, err = w.Bus.Subscribe(subject, handle)
	if err == nil {
		close(w.subscribed)
	}
	return stop, err
}
