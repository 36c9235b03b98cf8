package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hustings/internal/archive"
	"hustings/internal/blob"
	"hustings/internal/broadcast"
	"hustings/internal/bus"
	"hustings/internal/desk"
	"hustings/internal/live"
	"hustings/internal/mix/hold"
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
	keys *keys
	crew *crew

	figures   *prometheus.Registry
	store     *store.Store
	blob      *blob.Store
	bus       *bus.Bus
	archive   *archive.Archive
	broadcast *broadcast.Broadcast
	stage     *stage.Stages
	desk      *desk.Desk
}

func (n *Node) wire(dir *folder, door *door, keys *keys) *wiring {
	w := &wiring{node: n, name: nodeName(), dir: dir, door: door, keys: keys, crew: newCrew(n.log), figures: prometheus.NewRegistry()}
	w.figures.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return w
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
	w.bus, err = bus.New(bus.Options{
		Name: w.name, URL: w.node.opts.NATS, Credentials: w.node.opts.NATSCredentials, Logger: w.logger("bus"),
	})
	if err != nil {
		return fmt.Errorf("--nats: %w", err)
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

func (w *wiring) startBroadcast(ctx context.Context) (err error) {
	heard := newWatched(w.bus)
	w.broadcast, err = broadcast.New(broadcast.Options{
		Bus: heard, Node: w.name, Backlog: w.node.opts.Backlog, Logger: w.logger("broadcast"), Metrics: w.figures,
	})
	if err != nil {
		return err
	}
	w.crew.start(ctx, "broadcast", w.broadcast.Run).leave = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drainWithin)
		defer cancel()
		return w.broadcast.Drain(ctx)
	}
	return w.crew.await(ctx, "the broadcast", heard.subscribed)
}

func (w *wiring) startStage(ctx context.Context) (err error) {
	w.stage, err = stage.New(stage.Options{
		// Loopback too, for voices from this machine: the demo's, or a publisher's.
		UDP: w.door.udp, Loopback: true, ICETCP: w.door.ice, PublicIPs: w.node.opts.PublicIPs,
		Publish: w.bus.Publish, Subscribe: w.bus.Subscribe, Resume: w.archive.Resume,
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
		Store: w.store, Stage: w.stage, Archive: w.archive, Tokens: w.keys.tokens, OwnerToken: w.keys.owner, Logger: w.logger("desk"),
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
	audience, err := live.New(live.Options{
		Spaces: w.desk, Programme: w.broadcast, BaseURL: publicURL(w.node.opts), Logger: w.logger("live"),
	})
	if err != nil {
		return err
	}
	server, err := web.New(web.Options{
		Desk: w.desk, Stage: w.stage, Programme: w.broadcast, Archive: w.archive, Live: audience,
		BaseURL: publicURL(w.node.opts), Pages: ui.Pages(), Keys: []string{w.keys.log.Verifier()}, Version: w.node.opts.Version,
		Ready: w.ready, Metrics: promhttp.HandlerFor(w.figures, promhttp.HandlerOpts{}), Registry: w.figures,
		Logger: w.logger("web"),
	})
	if err != nil {
		return err
	}
	w.crew.start(ctx, "web", func(ctx context.Context) error { return server.Serve(ctx, w.door.http) })
	return nil
}

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
	return host + "-" + token.Name(6)
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
