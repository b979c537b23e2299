package sqlstore

import (
	"fmt"

	"github.com/upkeep-go/upkeep/lv"
)

// answerRecord is the first answer to a request. Versions never change, so
// their ids will do.
type answerRecord struct {
	Versions []int64           `json:"versions,omitempty"`
	Release  *lvReleaseRecord  `json:"release,omitempty"`
	Strategy *lvStrategyRecord `json:"strategy,omitempty"`
}

type lvReleaseRecord struct {
	ID        int64            `json:"id,omitempty"`
	Env       bytesText        `json:"env,omitempty"`
	State     bytesText        `json:"state,omitempty"`
	Changes   []lvChangeRecord `json:"changes,omitempty"`
	By        byRecord         `json:"by,omitzero"`
	Last      byRecord         `json:"last,omitzero"`
	Approver  bytesText        `json:"approver,omitempty"`
	AtMS      int64            `json:"at_ms,omitempty"`
	Reverts   int64            `json:"reverts,omitempty"`
	CreatedMS int64            `json:"created_ms,omitempty"`
	AppliedMS int64            `json:"applied_ms,omitempty"`
	Seq       int64            `json:"seq,omitempty"`
	Rev       int64            `json:"rev,omitempty"`
}

type lvChangeRecord struct {
	Row    bytesText `json:"row,omitempty"`
	From   int64     `json:"from,omitempty"`
	To     int64     `json:"to,omitempty"`
	Expect *int64    `json:"expect,omitempty"`
}

// lvStrategyRecord is a strategy. In its row and its event, ID and Seq stand
// beside it.
type lvStrategyRecord struct {
	ID       int64          `json:"id,omitempty"`
	Title    bytesText      `json:"title,omitempty"`
	Row      bytesText      `json:"row,omitempty"`
	Target   int64          `json:"target,omitempty"`
	Priority int64          `json:"priority,omitempty"`
	Disabled bool           `json:"disabled,omitempty"`
	Rules    []lvRuleRecord `json:"rules,omitempty"`
	Extra    []byte         `json:"extra,omitempty"`
	By       byRecord       `json:"by,omitzero"`
	Rev      int64          `json:"rev,omitempty"`
	Seq      int64          `json:"seq,omitempty"`
	Deleted  bool           `json:"deleted,omitempty"`
}

func encodeAnswer(a lvAnswer) (string, error) {
	var record answerRecord
	for _, v := range a.versions {
		record.Versions = append(record.Versions, int64(v.ID))
	}
	if a.release != nil {
		record.Release = lvReleaseOf(*a.release)
	}
	if a.strategy != nil {
		strategy, err := lvStrategyOf(*a.strategy)
		if err != nil {
			return "", err
		}
		record.Strategy = &strategy
	}
	return encode(record)
}

func (t lvTable) decodeAnswer(record answerRecord) (*lvAnswer, error) {
	var a lvAnswer
	for _, id := range record.Versions {
		v, err := t.version(id)
		if err != nil {
			return nil, err
		}
		a.versions = append(a.versions, v)
	}
	if record.Release != nil {
		release := record.Release.release()
		a.release = &release
	}
	if record.Strategy != nil {
		strategy, err := record.Strategy.strategy()
		if err != nil {
			return nil, err
		}
		a.strategy = &strategy
	}
	return &a, nil
}

func lvReleaseOf(r lv.Release) *lvReleaseRecord {
	record := &lvReleaseRecord{
		ID: r.ID, Env: bytesText(r.Env), State: bytesText(r.State), By: byOf(by(r.By)), Last: byOf(by(r.Last)),
		Approver: bytesText(r.Approver), Reverts: r.Reverts, Seq: r.Seq, Rev: r.Rev,
		AtMS: millis(r.At), CreatedMS: millis(r.CreatedAt), AppliedMS: millis(r.AppliedAt),
	}
	for _, c := range r.Changes {
		record.Changes = append(record.Changes, lvChangeRecord{
			Row: bytesText(c.Row), From: int64(c.From), To: int64(c.To), Expect: (*int64)(c.Expect),
		})
	}
	return record
}

func (record lvReleaseRecord) release() lv.Release {
	r := lv.Release{
		ID: record.ID, Env: lv.Env(record.Env), State: lv.ReleaseState(record.State), By: lv.By(record.By.by()),
		Last: lv.By(record.Last.by()), Approver: string(record.Approver), Reverts: record.Reverts,
		Seq: record.Seq, Rev: record.Rev,
		At: utc(record.AtMS), CreatedAt: utc(record.CreatedMS), AppliedAt: utc(record.AppliedMS),
	}
	for _, c := range record.Changes {
		r.Changes = append(r.Changes, lv.Change{
			Row: string(c.Row), From: lv.VersionID(c.From), To: lv.VersionID(c.To), Expect: (*lv.VersionID)(c.Expect),
		})
	}
	return r
}

func lvStrategyOf(s lv.Strategy) (lvStrategyRecord, error) {
	rules, err := lvRulesOf(s.Rules)
	return lvStrategyRecord{
		ID: s.ID, Title: bytesText(s.Title), Row: bytesText(s.Row), Target: int64(s.Target), Priority: s.Priority,
		Disabled: s.Disabled, Rules: rules, Extra: s.Extra, By: byOf(by(s.By)), Rev: s.Rev, Seq: s.Seq, Deleted: s.Deleted,
	}, err
}

func (record lvStrategyRecord) strategy() (lv.Strategy, error) {
	rules, err := lvRules(record.Rules)
	return lv.Strategy{
		ID: record.ID, Title: string(record.Title), Row: string(record.Row), Target: lv.VersionID(record.Target),
		Priority: record.Priority, Disabled: record.Disabled, Extra: record.Extra, By: lv.By(record.By.by()), Rev: record.Rev, Seq: record.Seq,
		Deleted: record.Deleted, Rules: rules,
	}, err
}

func encodeStrategy(s lv.Strategy) (string, error) {
	record, err := lvStrategyOf(s)
	if err != nil {
		return "", err
	}
	record.ID, record.Seq = 0, 0
	data, err := encode(record)
	if err != nil {
		err = fmt.Errorf("%w: %w", lv.ErrInvalid, err) // a percentage that is no number
	}
	return data, err
}

func decodeStrategy(data string) (lv.Strategy, error) {
	var record lvStrategyRecord
	if err := decode(data, &record); err != nil {
		return lv.Strategy{}, err
	}
	return record.strategy()
}
