package httpadapter

import "github.com/upkeep-go/upkeep/rollout"

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
// is -1.
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
