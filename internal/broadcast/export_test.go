package broadcast

// SetRung lets the audience have no better rung than this from now on, as a policy
// would under load.
func (b *Broadcast) SetRung(rung int) {
	p := b.pacing.Load().plan
	p.Rung = rung
	b.pacing.Store(newPacing(p))
}
