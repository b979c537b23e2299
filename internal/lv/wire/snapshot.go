package wire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/upkeep-go/upkeep/lv"
)

// WriteSnapshot writes what readers see of a table, row by row:
//
//	{"table":{"app","schema"},"history","seq","time","after","strategies":[…],"envs":{"<env>":[…]}}
//
// where the environment "" is Production and the others show only what they
// point at themselves.
func WriteSnapshot(w io.Writer, table lv.TableID, s lv.Snapshot) error {
	out := bufio.NewWriterSize(w, 64<<10)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	strategies := make([]Strategy, len(s.Strategies))
	for i, one := range s.Strategies {
		strategies[i] = strategyOf(one.Strategy)
		strategies[i].Shows = new(rowOf(one.Shows))
	}
	put := func(text string, values ...any) error {
		if _, err := out.WriteString(text); err != nil {
			return err
		}
		for _, v := range values {
			if err := encoder.Encode(v); err != nil {
				return err
			}
		}
		return nil
	}
	err := errors.Join(
		put(`{"table":`, Table(table)), put(`,"history":`, s.History), put(`,"seq":`, s.Seq), put(`,"time":`, s.Time), put(`,"after":`, s.After), put(`,"strategies":`, strategies),
		put(`,"envs":{`),
	)
	for i, env := range append([]lv.Env{lv.Production}, s.Grays...) {
		if i > 0 {
			err = errors.Join(err, put(`,`))
		}
		err = errors.Join(err, put(``, env), put(`:[`))
		separator := ""
		for row, fault := range s.Rows(env) {
			if err = errors.Join(err, fault); err != nil {
				return err
			}
			err = put(separator, rowOf(row))
			separator = ","
		}
		err = errors.Join(err, put(`]`))
	}
	return errors.Join(err, put("}}\n"), out.Flush())
}

// ReadSnapshot reads what WriteSnapshot wrote, whole or not at all.
func ReadSnapshot(r io.Reader) (lv.TableID, lv.Snapshot, error) {
	d := decoder{json.NewDecoder(bufio.NewReaderSize(r, 64<<10))}
	var table lv.TableID
	rows := map[lv.Env][]lv.Row{}
	var s lv.Snapshot
	err := d.object(func(name string) error {
		switch name {
		case "table":
			return d.Decode((*Table)(&table))
		case "history":
			return d.Decode(&s.History)
		case "seq":
			return d.Decode(&s.Seq)
		case "time":
			return d.Decode(&s.Time)
		case "after":
			return d.Decode(&s.After)
		case "strategies":
			return d.array(func() error {
				var one Strategy
				if err := d.Decode(&one); err != nil {
					return err
				}
				if one.Shows == nil {
					return fmt.Errorf("strategy %d shows nothing", one.ID)
				}
				s.Strategies = append(s.Strategies, lv.StrategyRow{Strategy: one.strategy(), Shows: one.Shows.row()})
				return nil
			})
		case "envs":
			return d.object(func(env string) error {
				if env != "" {
					s.Grays = append(s.Grays, lv.Env(env))
				}
				return d.rows(rows, lv.Env(env))
			})
		}
		var unknown json.RawMessage
		return d.Decode(&unknown)
	})
	if _, ok := rows[lv.Production]; err == nil && !ok {
		err = errors.New("no production")
	}
	if err != nil {
		return lv.TableID{}, lv.Snapshot{}, fmt.Errorf("lv: reading a snapshot: %w", err)
	}
	s.Rows = func(env lv.Env) iter.Seq2[lv.Row, error] {
		return func(yield func(lv.Row, error) bool) {
			for _, row := range rows[env] {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
	return table, s, nil
}

// A decoder reads large lists one by one.
type decoder struct{ *json.Decoder }

func (d decoder) rows(all map[lv.Env][]lv.Row, env lv.Env) error {
	all[env] = nil
	last := ""
	return d.array(func() error {
		var row Row
		if err := d.Decode(&row); err != nil {
			return err
		}
		if row.ObjectID <= last {
			return fmt.Errorf("row %q comes after %q", row.ObjectID, last)
		}
		last = row.ObjectID
		all[env] = append(all[env], row.row())
		return nil
	})
}

func (d decoder) delim(want json.Delim) error {
	token, err := d.Token()
	if err == nil && token != want {
		err = fmt.Errorf("%v in place of %v", token, want)
	}
	return err
}

// object calls f for each name; f reads the value.
func (d decoder) object(f func(name string) error) error {
	if err := d.delim('{'); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		text, _ := name.(string)
		if err := f(text); err != nil {
			return err
		}
	}
	return d.delim('}')
}

// array calls f for each value, which f reads.
func (d decoder) array(f func() error) error {
	if err := d.delim('['); err != nil {
		return err
	}
	for d.More() {
		if err := f(); err != nil {
			return err
		}
	}
	return d.delim(']')
}
