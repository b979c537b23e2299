package httpadapter

import (
	"github.com/upkeep-go/upkeep/rollout"
)

// RolloutAPI is the rolling update of WeChat CloudBase,
// updateCloudbaseServiceVersion. This is what becomes of each field:
//
//	env_id                 applied: the environment of the service; required
//	server_name            applied: its name; required
//	version_name           applied: the version whose content is replaced, or latest; required
//	upload_type            applied: which of the next three kinds of fields count; required unless rollback is true
//	repository_type        applied with repository
//	repository             applied with repository
//	branch                 applied with repository
//	build_dir              applied with repository
//	dockerfile_path        applied with repository
//	code_detail.url        applied with repository, unless there is a repository
//	code_detail.name       recorded
//	package_name           applied with package
//	package_version        applied with package
//	image_info             applied with image, as a whole
//	image_info.is_public   recorded
//	image_info.server_addr recorded
//	flow_ratio             applied: the share of the version, in percent
//	cpu                    applied: cores
//	mem                    applied: in GiB
//	min_num                applied
//	max_num                applied
//	policy_type            applied: cpu or mem
//	policy_threshold       applied: percent of cpu or mem; default 60
//	policy_detail          applied, in place of policy_type and policy_threshold
//	env_params             applied: a JSON object; all of the environment
//	container_port         applied
//	initial_delay_seconds  applied: before a replica is asked whether it is ready
//	mount_volume_info      applied: at most one of nfs_volumes each
//	custom_logs            applied: stdout, or a path
//	server_path            applied: only the first time
//	version_remark         applied: kept with the revision
//	rollback               applied: to the content of snapshot_name
//	snapshot_name          applied: the run_id of a run that has succeeded; default: the content before
//	is_rebuild             recorded
//	enable_union           recorded
//	is_update_cls          recorded
//
// A field that is absent, null or an empty text keeps the value of the version
// replaced. What is recorded is in Spec.Extra and acts on nothing. A Deployer
// that cannot do what is applied refuses it, 40097, or does without it and says
// so: POST /upkeep/v1/rollouts/plan takes the same body, and its answer names
// such fields in not_enforced, and has all that would be done.
//
// The status is always 200. A service that has a run, and whatever else passes,
// is -1. There is no room for a reason: Config.Logger has it, and the answer of
// plan, which names a run that is in the way in live.
const RolloutAPI API = "rollout"

// rollBody is the documented body. Siblings of the document have numbers where
// it has texts: both are read.
type rollBody struct {
	EnvID           string           `json:"env_id" openapi:"needed"`
	ServerName      string           `json:"server_name" openapi:"needed"`
	VersionName     string           `json:"version_name" openapi:"needed"`
	UploadType      string           `json:"upload_type"`
	RepositoryType  string           `json:"repository_type"`
	Repository      string           `json:"repository"`
	Branch          string           `json:"branch"`
	BuildDir        string           `json:"build_dir"`
	DockerfilePath  string           `json:"dockerfile_path"`
	CodeDetail      *rollCodeBody    `json:"code_detail"`
	PackageName     string           `json:"package_name"`
	PackageVersion  string           `json:"package_version"`
	ImageInfo       *rollImageBody   `json:"image_info"`
	FlowRatio       *figure          `json:"flow_ratio"`
	CPU             number           `json:"cpu"`
	Mem             number           `json:"mem"`
	MinNum          number           `json:"min_num"`
	MaxNum          number           `json:"max_num"`
	PolicyType      string           `json:"policy_type"`
	PolicyThreshold number           `json:"policy_threshold"`
	PolicyDetail    []rollPolicyBody `json:"policy_detail"`
	EnvParams       string           `json:"env_params"`
	ContainerPort   *figure          `json:"container_port"`
	InitialDelay    *figure          `json:"initial_delay_seconds"`
	Volumes         []rollVolumeBody `json:"mount_volume_info"`
	CustomLogs      string           `json:"custom_logs"`
	ServerPath      string           `json:"server_path"`
	VersionRemark   string           `json:"version_remark"`
	Rollback        bool             `json:"rollback"`
	SnapshotName    string           `json:"snapshot_name"`
	IsRebuild       *bool            `json:"is_rebuild"`
	EnableUnion     *bool            `json:"enable_union"`
	IsUpdateCLS     *bool            `json:"is_update_cls"`
}

type rollCodeBody struct {
	Name *rollCodeNameBody `json:"name"`
	URL  string            `json:"url"`
}

type rollCodeNameBody struct {
	Name     string `json:"name"`
	FullName string `json:"full_name"`
}

type rollImageBody struct {
	RepositoryName string `json:"repository_name"`
	IsPublic       *bool  `json:"is_public"`
	TagName        string `json:"tag_name"`
	ServerAddr     string `json:"server_addr"`
	ImageURL       string `json:"image_url"`
}

type rollPolicyBody struct {
	PolicyType      string `json:"policy_type"`
	PolicyThreshold number `json:"policy_threshold"`
}

type rollVolumeBody struct {
	Name      string        `json:"name"`
	MountPath string        `json:"mount_path"`
	ReadOnly  bool          `json:"read_only"`
	NFS       []rollNFSBody `json:"nfs_volumes"`
}

type rollNFSBody struct {
	Server     string `json:"server"`
	Path       string `json:"path"`
	ReadOnly   bool   `json:"read_only"`
	SecretName string `json:"secret_name"`
	EmptyDir   bool   `json:"enable_empty_dir_volume"`
}

// wechatReply tells of a run that has begun.
type wechatReply struct {
	ErrCode int    `json:"errcode" openapi:"const=0"`
	ErrMsg  string `json:"errmsg" openapi:"const=ok"`
	Result  string `json:"result" openapi:"const=succ"`
	RunID   string `json:"run_id"`
}

// wechatFail is the reply to what was not done.
type wechatFail struct {
	ErrCode int    `json:"errcode"`
	ErrMsg  string `json:"errmsg"`
}

// rolloutWords are the values of the types that have few.
var rolloutWords = []any{
	rollout.StateAccepted, rollout.StateBuilding, rollout.StateProvisioning, rollout.StateHealthWait, rollout.StateShifting,
	rollout.StateAnalysing, rollout.StatePaused, rollout.StatePromoting, rollout.StateDraining, rollout.StateFinalising,
	rollout.StateRollingBack, rollout.StateSucceeded, rollout.StateRolledBack, rollout.StateCancelled, rollout.State(""),
	rollout.WishPause, rollout.WishResume, rollout.WishPromote, rollout.WishCancel,
	rollout.EventStarted, rollout.EventState, rollout.EventProgress, rollout.EventMeasurement, rollout.EventLog, rollout.EventWish,
	rollout.EventRecovered, rollout.EventEnded, rollout.EventService, rollout.EventCorrupt,
	rollout.ReplicaStarting, rollout.ReplicaReady, rollout.ReplicaFailing, rollout.ReplicaStopping,
	rollout.VerdictPass, rollout.VerdictFail, rollout.VerdictInconclusive, rollout.VerdictError,
}

// stepBody names the step of a pause, and says why it should end.
type stepBody struct {
	Step   *int   `json:"step" openapi:"needed,minimum=0"`
	Reason string `json:"reason" openapi:"maxLength=4096"`
}

// rolloutUndoBody names a run to take back, by default the last that succeeded.
type rolloutUndoBody struct {
	Run       string `json:"run"`
	RequestID string `json:"request_id"`
	Reason    string `json:"reason" openapi:"maxLength=4096"`
}

// rolloutShiftBody is a whole split.
type rolloutShiftBody struct {
	Weights []rolloutWeightBody `json:"weights" openapi:"needed"`
	Rules   []rolloutRuleBody   `json:"rules"`
	Sticky  *rolloutStickyBody  `json:"sticky"`
	Reason  string              `json:"reason" openapi:"maxLength=4096"`
}

type rolloutWeightBody struct {
	Version string `json:"version"`
	Run     string `json:"run" openapi:"description=which revision of the version; default: the one with the most traffic"`
	Percent int    `json:"percent"`
}

type rolloutRuleBody struct {
	Version  string `json:"version"`
	Run      string `json:"run"`
	Header   string `json:"header"`
	Query    string `json:"query"`
	Cookie   string `json:"cookie"`
	Value    string `json:"value"`
	Priority int    `json:"priority"`
}

type rolloutStickyBody struct {
	Header   string `json:"header"`
	Cookie   string `json:"cookie"`
	Issue    bool   `json:"issue"`
	MaxAgeMS int64  `json:"max_age_ms" openapi:"minimum=0"`
}

type rolloutPlanReply struct {
	ID          string             `json:"id"`
	From        *revisionReply     `json:"from"` // null for the first
	Version     string             `json:"version"`
	Spec        specReply          `json:"spec"`
	Diff        []specChangeReply  `json:"diff"`
	UpToDate    bool               `json:"up_to_date"`
	Live        string             `json:"live" openapi:"description=the run that the service has; while it lasts the request is refused"`
	Steps       []plannedStepReply `json:"steps"`
	Hooks       []string           `json:"hooks"`
	LongestMS   int64              `json:"longest_ms"` // unless it is paused
	NotEnforced []string           `json:"not_enforced"`
}

type specChangeReply struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

type plannedStepReply struct {
	rolloutStepReply
	Split  splitReply     `json:"split"`
	Counts map[string]int `json:"replicas_by_run"` // "" is what the run makes
}

// revisionReply names a revision.
type revisionReply struct {
	Version string `json:"version"`
	Run     string `json:"run"`
}

type splitReply struct {
	Weights []weightReply `json:"weights"`
	Rules   []ruleReply   `json:"rules"`
	Sticky  *stickyReply  `json:"sticky"`
}

type weightReply struct {
	Version string `json:"version"`
	Run     string `json:"run"`
	Percent int    `json:"percent"`
}

type ruleReply struct {
	Version string `json:"version"`
	Run     string `json:"run"`
	matchReply
	Priority int `json:"priority"`
}

type matchReply struct {
	Header string `json:"header,omitempty"`
	Query  string `json:"query,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	Value  string `json:"value"`
}

type stickyReply struct {
	Header   string `json:"header,omitempty"`
	Cookie   string `json:"cookie,omitempty"`
	Issue    bool   `json:"issue"`
	MaxAgeMS int64  `json:"max_age_ms"`
}

// specReply is a content. Below Admin, what may be secret is masked: values, and
// the arguments of a command.
type specReply struct {
	Command     []string          `json:"command,omitempty"`
	Archive     *archiveReply     `json:"archive,omitempty"`
	Image       *imageReply       `json:"image,omitempty"`
	Package     *codeReply        `json:"package,omitempty"`
	Source      *sourceReply      `json:"source,omitempty"`
	Environment map[string]string `json:"environment"`
	Port        *int              `json:"port"`
	Health      *healthReply      `json:"health"`
	CPU         *float64          `json:"cpu"`    // cores
	Memory      *int64            `json:"memory"` // bytes
	Volumes     []volumeReply     `json:"volumes"`
	Logs        *string           `json:"logs"`
	Path        *string           `json:"path"`
	MinReplicas *int              `json:"min_replicas"`
	MaxReplicas *int              `json:"max_replicas"`
	Scaling     []scalingReply    `json:"scaling"`
	Extra       map[string]string `json:"extra"`
}

type archiveReply struct {
	URL     string   `json:"url"`
	Digest  string   `json:"digest"`
	Command []string `json:"command,omitempty"`
}

type imageReply struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	URL        string `json:"url"`
}

type codeReply struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type sourceReply struct {
	Kind       string `json:"kind"`
	URL        string `json:"url"`
	Branch     string `json:"branch"`
	Dir        string `json:"dir"`
	Dockerfile string `json:"dockerfile"`
}

type healthReply struct {
	Path       string            `json:"path"`
	Host       string            `json:"host"`
	Headers    map[string]string `json:"headers"`
	Status     int               `json:"status"`
	DelayMS    int64             `json:"delay_ms"`
	IntervalMS int64             `json:"interval_ms"`
	TimeoutMS  int64             `json:"timeout_ms"`
	TCP        bool              `json:"tcp"`
}

type volumeReply struct {
	Name      string `json:"name"`
	Path      string `json:"path"`
	ReadOnly  bool   `json:"read_only"`
	Server    string `json:"server,omitempty"`
	From      string `json:"from,omitempty"`
	Secret    string `json:"secret,omitempty"` // its name
	Temporary bool   `json:"temporary"`
}

type scalingReply struct {
	Resource  string `json:"resource"`
	Threshold int    `json:"threshold"`
}
