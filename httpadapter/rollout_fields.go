package httpadapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/rollout"
)

// figure is a number of JSON, never in quotes; one that is too large is infinite.
type figure float64

// UnmarshalJSON implements json.Unmarshaler.
func (f *figure) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseFloat(string(text), 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	*f = figure(n)
	return err
}

// rollRead is what a body says for itself, whatever it is about. Its spec has
// all but what depends on the content that is replaced.
type rollRead struct {
	body  *rollBody
	share *int
	spec  rollout.Spec
	delay *int
	scale rollout.Scaling // of policy_type and policy_threshold
}

func rollInvalid(field, why string) error {
	return fmt.Errorf("%w: %s %s", rollout.ErrInvalid, field, why)
}

// read refuses what is missing, and then what is wrong whatever is replaced.
func (b *rollBody) read() (r rollRead, err error) {
	if err := b.missing(); err != nil {
		return r, err
	}
	for field, err := range map[string]error{
		"env_id": web.CheckID(b.EnvID), "server_name": web.CheckID(b.ServerName), "version_name": web.CheckID(b.VersionName),
	} {
		if err != nil {
			return r, rollInvalid(field, "is no name")
		}
	}
	r.body = b
	return r, errors.Join(b.words(), r.numbers(), r.scaling(), r.volumes(), r.texts())
}

// missing refuses a body without what it must have.
func (b *rollBody) missing() error {
	code := b.CodeDetail
	for _, field := range []struct {
		name    string
		missing bool
	}{
		{"env_id", b.EnvID == ""},
		{"server_name", b.ServerName == ""},
		{"version_name", b.VersionName == ""},
		{"upload_type", b.UploadType == "" && !b.Rollback},
		{"image_info", b.UploadType == "image" && (b.ImageInfo == nil || b.ImageInfo.RepositoryName == "" && b.ImageInfo.ImageURL == "")},
		{"code_detail.url", code != nil && code.URL == "" && b.UploadType == "repository" && b.Repository == ""},
	} {
		if field.missing {
			return fmt.Errorf("%w: %s", rollout.ErrMissing, field.name)
		}
	}
	return nil
}

// words refuses what is none of the words of the document, and paths that lead
// out.
func (b *rollBody) words() error {
	for _, field := range []struct {
		name, value string
		words       []string
	}{
		{"upload_type", b.UploadType, []string{"package", "repository", "image"}},
		{"repository_type", b.RepositoryType, []string{"coding", "gitlab", "github"}},
	} {
		if field.value != "" && !slices.Contains(field.words, field.value) {
			return rollInvalid(field.name, "is not one of "+strings.Join(field.words, ", "))
		}
	}
	for field, path := range map[string]string{
		"dockerfile_path": b.DockerfilePath, "build_dir": b.BuildDir, "custom_logs": b.CustomLogs, "server_path": b.ServerPath,
	} {
		if slices.Contains(strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }), "..") {
			return rollInvalid(field, "leads out of its folder")
		}
	}
	for field, path := range map[string]string{"dockerfile_path": b.DockerfilePath, "build_dir": b.BuildDir} {
		if strings.HasPrefix(path, "/") {
			return rollInvalid(field, "is not below the source")
		}
	}
	if b.SnapshotName != "" && !b.Rollback {
		return rollInvalid("snapshot_name", "is for a rollback")
	}
	return nil
}

func (r *rollRead) numbers() error {
	b := r.body
	var errs []error
	whole := func(field string, n *float64, least, most int) *int {
		switch {
		case n == nil:
			return nil
		case math.Trunc(*n) != *n || !(*n >= float64(least) && *n <= float64(most)):
			errs = append(errs, rollInvalid(field, fmt.Sprintf("is no whole number from %d to %d", least, most)))
			return nil
		}
		value := int(*n)
		return &value
	}
	written := func(field string, text number) *float64 {
		n, err := text.float()
		if err != nil {
			errs = append(errs, rollInvalid(field, "is no number"))
		}
		return n
	}
	r.share = whole("flow_ratio", (*float64)(b.FlowRatio), 0, 100)
	r.spec.Port = whole("container_port", (*float64)(b.ContainerPort), 1, 65535)
	r.delay = whole("initial_delay_seconds", (*float64)(b.InitialDelay), 0, 30*24*3600)
	r.spec.MinReplicas = whole("min_num", written("min_num", b.MinNum), 0, math.MaxInt32)
	r.spec.MaxReplicas = whole("max_num", written("max_num", b.MaxNum), 1, math.MaxInt32)
	if least, most := r.spec.MinReplicas, r.spec.MaxReplicas; least != nil && most != nil && *least > *most {
		errs = append(errs, rollInvalid("max_num", "is less than min_num"))
	}
	if n := written("cpu", b.CPU); n != nil {
		if !(*n > 0 && *n <= math.MaxInt32) {
			errs = append(errs, rollInvalid("cpu", "is not above 0"))
		}
		r.spec.CPU = n
	}
	if n := written("mem", b.Mem); n != nil {
		if !(*n > 0 && *n <= math.MaxInt32) {
			errs = append(errs, rollInvalid("mem", "is not above 0"))
		} else {
			bytes := max(1, int64(*n*(1<<30)))
			r.spec.Memory = &bytes
		}
	}
	return errors.Join(errs...)
}

// float is the number, nil for none.
func (n number) float() (*float64, error) {
	if n == "" {
		return nil, nil
	}
	var literal json.Number
	if n[0] == '"' || json.Unmarshal([]byte(n), &literal) != nil || literal == "" {
		return nil, errors.New("no number")
	}
	f, err := literal.Float64()
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	return &f, err
}

func (r *rollRead) scaling() error {
	var err error
	if r.scale, err = scalingOf("policy", r.body.PolicyType, r.body.PolicyThreshold); err != nil {
		return err
	}
	if r.body.PolicyDetail == nil {
		return nil
	}
	r.spec.Scaling = []rollout.Scaling{}
	for _, p := range r.body.PolicyDetail {
		s, err := scalingOf("policy_detail.policy", p.PolicyType, p.PolicyThreshold)
		switch {
		case err != nil:
			return err
		case s.Resource == "":
			return rollInvalid("policy_detail.policy_type", "is neither cpu nor mem")
		case slices.ContainsFunc(r.spec.Scaling, func(o rollout.Scaling) bool { return o.Resource == s.Resource }):
			return rollInvalid("policy_detail", "has "+s.Resource+" twice")
		case s.Threshold == 0:
			s.Threshold = usualThreshold
		}
		r.spec.Scaling = append(r.spec.Scaling, s)
	}
	return nil
}

// usualThreshold is the percent of use above which replicas are added, where a
// body has none.
const usualThreshold = 60

// scalingOf is what is said, and zero for what is not.
func scalingOf(field, resource string, threshold number) (s rollout.Scaling, err error) {
	if resource != "" && resource != "cpu" && resource != "mem" {
		return s, rollInvalid(field+"_type", "is neither cpu nor mem")
	}
	s.Resource = resource
	percent, err := threshold.float()
	if err != nil || percent != nil && (math.Trunc(*percent) != *percent || !(*percent >= 1 && *percent <= 100)) {
		return s, rollInvalid(field+"_threshold", "is no whole number from 1 to 100")
	}
	if percent != nil {
		s.Threshold = int(*percent)
	}
	return s, nil
}

func (r *rollRead) volumes() error {
	if r.body.Volumes == nil {
		return nil
	}
	r.spec.Volumes = []rollout.Volume{}
	for _, v := range r.body.Volumes {
		if !strings.HasPrefix(v.MountPath, "/") || slices.Contains(strings.Split(v.MountPath, "/"), "..") {
			return rollInvalid("mount_volume_info.mount_path", "is no absolute path")
		}
		if len(v.NFS) > 1 {
			return rollInvalid("mount_volume_info.nfs_volumes", "are more than one")
		}
		volume := rollout.Volume{Name: v.Name, Path: v.MountPath, ReadOnly: v.ReadOnly}
		for _, n := range v.NFS {
			volume.Server, volume.From, volume.Secret, volume.Temporary = n.Server, n.Path, n.SecretName, n.EmptyDir
			volume.ReadOnly = v.ReadOnly || n.ReadOnly
		}
		r.spec.Volumes = append(r.spec.Volumes, volume)
	}
	return nil
}

// texts reads what is text, and records what acts on nothing.
func (r *rollRead) texts() (err error) {
	b := r.body
	if b.EnvParams != "" {
		if r.spec.Environment, err = environmentOf(b.EnvParams); err != nil {
			return err
		}
	}
	if b.CustomLogs != "" {
		r.spec.Logs = &b.CustomLogs
	}
	if b.ServerPath != "" {
		if !strings.HasPrefix(b.ServerPath, "/") {
			return rollInvalid("server_path", "is no absolute path")
		}
		r.spec.Path = &b.ServerPath
	}
	extra := map[string]string{}
	for name, given := range map[string]*bool{"is_rebuild": b.IsRebuild, "enable_union": b.EnableUnion, "is_update_cls": b.IsUpdateCLS} {
		if given != nil {
			extra[name] = strconv.FormatBool(*given)
		}
	}
	if i := b.ImageInfo; i != nil {
		if i.IsPublic != nil {
			extra["image_info.is_public"] = strconv.FormatBool(*i.IsPublic)
		}
		record(extra, "image_info.server_addr", i.ServerAddr)
	}
	if code := b.CodeDetail; code != nil && code.Name != nil {
		record(extra, "code_detail.name.name", code.Name.Name)
		record(extra, "code_detail.name.full_name", code.Name.FullName)
	}
	if len(extra) > 0 {
		r.spec.Extra = extra
	}
	return nil
}

func record(in map[string]string, name, value string) {
	if value != "" {
		in[name] = value
	}
}

// environmentOf reads env_params: a JSON object of texts, numbers and truths.
func environmentOf(text string) (map[string]string, error) {
	wrong := rollInvalid("env_params", "is no JSON object of texts")
	var values map[string]json.RawMessage
	if web.Scan([]byte(text)) != nil || json.Unmarshal([]byte(text), &values) != nil || values == nil {
		return nil, wrong
	}
	all := map[string]string{}
	for name, value := range values {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return nil, wrong
		}
		switch value[0] {
		case '"':
			all[name] = string(web.Unquote(value))
		case '{', '[', 'n':
			return nil, wrong
		default:
			all[name] = string(value)
		}
		if strings.ContainsRune(all[name], 0) {
			return nil, wrong
		}
	}
	return all, nil
}

// over is the content that a body asks for in place of this one.
func (r rollRead) over(base rollout.Spec) (rollout.Spec, error) {
	s, b := r.spec, r.body
	if r.delay != nil {
		health := rollout.Health{}
		if base.Health != nil {
			health = *base.Health
		}
		health.Delay = time.Duration(*r.delay) * time.Second
		s.Health = &health
	}
	if r.scale != (rollout.Scaling{}) && s.Scaling == nil {
		s.Scaling = scalingOver(r.scale, base.Scaling)
	}
	switch b.UploadType {
	case "image":
		s.Image = &rollout.Image{Repository: b.ImageInfo.RepositoryName, Tag: b.ImageInfo.TagName, URL: b.ImageInfo.ImageURL}
	case "package":
		p := rollout.Package{}
		if base.Package != nil {
			p = *base.Package
		}
		keep(&p.Name, b.PackageName)
		keep(&p.Version, b.PackageVersion)
		if p.Name == "" {
			return s, fmt.Errorf("%w: package_name", rollout.ErrMissing)
		}
		s.Package = &p
	case "repository":
		src := rollout.Source{}
		if base.Source != nil {
			src = *base.Source
		}
		if b.CodeDetail != nil {
			keep(&src.URL, b.CodeDetail.URL)
		}
		keep(&src.URL, b.Repository)
		keep(&src.Kind, b.RepositoryType)
		keep(&src.Branch, b.Branch)
		keep(&src.Dir, b.BuildDir)
		keep(&src.Dockerfile, b.DockerfilePath)
		if src.URL == "" {
			return s, fmt.Errorf("%w: repository", rollout.ErrMissing)
		}
		s.Source = &src
	}
	return s, nil
}

// keep sets a text, unless there is none.
func keep(to *string, value string) {
	if value != "" {
		*to = value
	}
}

// scalingOver completes policy_type and policy_threshold: one that is absent is
// as it was.
func scalingOver(s rollout.Scaling, base []rollout.Scaling) []rollout.Scaling {
	if s.Resource == "" {
		s.Resource = "cpu"
		if len(base) > 0 {
			s.Resource = base[0].Resource
		}
	}
	for _, was := range base {
		if s.Threshold == 0 && was.Resource == s.Resource {
			s.Threshold = was.Threshold
		}
	}
	if s.Threshold == 0 {
		s.Threshold = usualThreshold
	}
	return []rollout.Scaling{s}
}
