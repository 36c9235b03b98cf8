// Package node is a whole Hustings server: every room of it, wired.
//
// Run is to be read from top to bottom. It is the order in which the parts come
// up, and a part comes up after everything that it calls; they go down in reverse.
// The same Run serves the program and its tests:
//
//	n, err := node.New(node.Options{Data: dir, Listen: "127.0.0.1:0", Ready: ...})
//	err = n.Run(ctx)
//
// Besides the wiring there is here what a server needs of its machine: the data
// folder with its keys and its lock (folder.go), the port and its certificate
// (door.go, tls.go), and the order of going down (crew.go). wiring.go has each step
// of coming up, edge.go those of a node that joins another to serve listeners alone,
// rehearsal.go what a crowd is measured by, demo.go the conversation of `hustings demo`.
package node

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
)

// Node is a server. Make it with New.
type Node struct {
	opts     Options
	log      *slog.Logger
	draining atomic.Bool
}

// New checks the settings and starts nothing.
func New(o Options) (*Node, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	n := &Node{opts: o, log: o.Logger}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	return n, nil
}

// Run serves until ctx ends, and then goes down in good order: a space that is live
// stays so, and goes on at the next start.
func (n *Node) Run(ctx context.Context) error { return n.run(ctx, nil) }

// run is Run. With a guest, the folder is a demo's, and the guest runs beside the
// node once it serves.
func (n *Node) run(ctx context.Context, guest func(context.Context, *wiring) error) (err error) {
	// The folder is first: its lock keeps a second node off everything below.
	dir, err := openFolder(n.opts.Data)
	if err != nil {
		return err
	}
	defer dir.close()
	if guest != nil {
		if err := dir.becomeDemo(); err != nil {
			return err
		}
	}
	// The port is next, since it is what is wrong most often, and nothing that is
	// kept was touched yet. Connections wait in it until there is who answers.
	door, err := openDoor(ctx, n.opts, dir, n.log)
	if err != nil {
		return err
	}
	defer door.close()
	w := n.wire(dir, door)
	comeUp := w.comeUp
	if n.opts.Join != "" {
		comeUp = w.comeUpAsEdge
	}
	defer func() {
		n.draining.Store(true) // before anything goes: who balances load looks elsewhere
		err = errors.Join(err, w.goDown())
	}()
	switch err := comeUp(ctx); {
	case err != nil && errors.Is(err, ctx.Err()):
		n.log.Info("going down before everything was there")
		return nil
	case err != nil:
		return err
	}
	n.log.Info("serving", "version", n.opts.Version)
	if n.opts.Ready != nil {
		n.opts.Ready(w.addresses())
	}
	if guest != nil {
		w.crew.start(ctx, "demo", func(ctx context.Context) error { return guest(ctx, w) })
	}
	select {
	case <-ctx.Done():
		n.log.Info("going down: spaces that are live stay so and go on at the next start")
		return nil
	case err := <-w.crew.failed:
		return err
	}
}

// comeUp brings up the parts, each after those that it needs.
func (w *wiring) comeUp(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		// What is kept comes before whatever changes it.
		w.loadKeys,
		w.openStores,
		// The bus comes before its readers, and its readers before the stage: a
		// block that nobody has subscribed to reaches nobody.
		w.startBus,
		// Of the readers the archive is first: no one hears what is not kept.
		w.startArchive,
		w.startDelivery,
		w.startBroadcast,
		// Edges are told of every change that the desk makes, and the pulse tells of them.
		w.startEdges,
		// The stage asks the archive where each log goes on.
		w.startStage,
		// The desk tells the stage of every space that is not over. Only then is
		// anybody let in, and a speaker who comes back finds the stage as it was.
		w.startDesk,
		w.startRehearsals,
		w.startWeb,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// comeUpAsEdge is comeUp for a node that serves listeners alone.
func (w *wiring) comeUpAsEdge(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		w.joinBus,
		w.startDelivery,
		// It learns what is on, and whose word it is to believe, before the first block
		// is heard. It says that it is there once it knows.
		w.startMembership,
		w.startBroadcast,
		w.startEdgeWeb,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// goDown ends the parts in reverse: the door closes, the stage writes what was said
// to its last tick, listeners get their last block, the archive has it on the disk.
func (w *wiring) goDown() error {
	err := w.crew.stop(goDownWithin)
	if w.blob != nil {
		err = errors.Join(err, w.blob.Close())
	}
	if w.store != nil {
		err = errors.Join(err, w.store.Close())
	}
	return err
}
