// Package rollouttest checks implementations against the promises of package
// rollout: RunStore those of rollout.RunStore, RunInstances those of
// rollout.InstanceStore, RunRouter those of rollout.Router, RunDeployer those of
// rollout.Deployer. Each case is named after the promise it checks. Those of lease.Locker are in lease/leasetest.
//
// Cases open fresh state, one after the other, each in a testing/synctest
// bubble.
package rollouttest
