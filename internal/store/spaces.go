package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"hustings/internal/space"

	"github.com/uptrace/bun"
)

// MaxPage is how many spaces List returns at most.
const MaxPage = 200

// Add keeps a new space. Its times are kept to the microsecond.
//
// Errors: Conflict, if its id is taken.
func (s *Store) Add(ctx context.Context, sp space.Space) error {
	made, err := insert(ctx, s.write, rowOf(sp))
	if err != nil {
		return fmt.Errorf("add space %s: %w", sp.ID, err)
	}
	if !made {
		return space.Errorf(space.Conflict, "there is a space %s already; choose another name", sp.ID)
	}
	return nil
}

// Get returns a space.
//
// Errors: NotFound.
func (s *Store) Get(ctx context.Context, id space.ID) (space.Space, error) {
	if !id.Valid() {
		return space.Space{}, noSpace(id)
	}
	row := new(spaceRow)
	if err := s.read.NewSelect().Model(row).Where("id = ?", string(id)).Scan(ctx); err != nil {
		return space.Space{}, notFound(err, id)
	}
	return row.space(), nil
}

// Update applies a rule to a space in a transaction that holds it, and returns
// the space before and after. The rule may run inside a lock on the whole
// database: it computes and waits for nothing. If it returns an error nothing
// changes, and that error is returned as it is.
//
// Errors: NotFound, and those of the rule.
func (s *Store) Update(ctx context.Context, id space.ID, rule func(space.Space) (space.Space, error)) (before, after space.Space, err error) {
	if !id.Valid() {
		return space.Space{}, space.Space{}, noSpace(id)
	}
	err = s.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		row := new(spaceRow)
		query := tx.NewSelect().Model(row).Where("id = ?", string(id))
		if s.postgres {
			query = query.For("UPDATE")
		}
		if err := query.Scan(ctx); err != nil {
			return notFound(err, id)
		}
		before = row.space()
		if after, err = rule(before); err != nil {
			return err
		}
		changed := rowOf(after)
		changed.ID, changed.Settled = row.ID, row.Settled
		if _, err := tx.NewUpdate().Model(changed).WherePK().Exec(ctx); err != nil {
			return fmt.Errorf("update space %s: %w", id, err)
		}
		after = changed.space()
		return nil
	})
	if err != nil {
		return space.Space{}, space.Space{}, err
	}
	return before, after, nil
}

// Settle records that a space that is over needs nothing from the stage any
// more: its final block was published, or it never had one.
func (s *Store) Settle(ctx context.Context, id space.ID) error {
	_, err := s.write.NewUpdate().Model((*spaceRow)(nil)).Set("settled = ?", true).
		Where("id = ? AND is_over = ?", string(id), true).Exec(ctx)
	if err != nil {
		return fmt.Errorf("settle space %s: %w", id, err)
	}
	return nil
}

// Unsettled returns every space that the stage must know after a restart: those
// that are not over, and those that are but were not settled.
func (s *Store) Unsettled(ctx context.Context) ([]space.Space, error) {
	var rows []spaceRow
	if err := s.read.NewSelect().Model(&rows).Where("NOT settled").OrderExpr("id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list unsettled spaces: %w", err)
	}
	return spaces(rows), nil
}

// List returns up to limit spaces, those that are not over first, then the
// newest announcement first, from the one that follows after ("" is the
// beginning). next is what to give as after for the rest; "" says that there is
// no more.
//
// Errors: NotFound, if there is no space named after.
func (s *Store) List(ctx context.Context, after space.ID, limit int) (page []space.Space, next space.ID, err error) {
	limit = min(max(limit, 1), MaxPage)
	var rows []spaceRow
	query := s.read.NewSelect().Model(&rows).OrderExpr("is_over, created DESC, id").Limit(int64(limit) + 1)
	if after != "" && !after.Valid() {
		return nil, "", noSpace(after)
	}
	if after != "" {
		last := new(spaceRow)
		if err := s.read.NewSelect().Model(last).Where("id = ?", string(after)).Scan(ctx); err != nil {
			return nil, "", notFound(err, after)
		}
		query = query.Where("is_over > ?0 OR (is_over = ?0 AND (created < ?1 OR (created = ?1 AND id > ?2)))",
			last.IsOver, last.Created, last.ID)
	}
	if err := query.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("list spaces: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = space.ID(rows[limit-1].ID)
	}
	return spaces(rows), next, nil
}

func spaces(rows []spaceRow) []space.Space {
	list := make([]space.Space, len(rows))
	for i := range rows {
		list[i] = rows[i].space()
	}
	return list
}

// insert adds a row unless its key is taken, in words that both databases know:
// telling a taken key from other errors would need a table of each one's codes.
func insert(ctx context.Context, db *bun.DB, row any) (made bool, err error) {
	result, err := db.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

func notFound(err error, id space.ID) error {
	if errors.Is(err, sql.ErrNoRows) {
		return noSpace(id)
	}
	return fmt.Errorf("read space %s: %w", id, err)
}

func noSpace(id space.ID) error {
	return space.Errorf(space.NotFound, "there is no space %q here; check the link", string(id))
}
