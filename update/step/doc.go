// Package step has ready-made steps for package update. Each function returns
// an [update.Step] with a name, which says of what kind it is and does not
// depend on how it is configured; [Named] gives the second of a kind another
// one. The caller may change any other field.
//
// What a step's functions do is said in its comment: what Do, Probe and Undo
// do, what is atomic, and what is checked beforehand. A step that says nothing
// about Undo has none; one that says nothing about Probe has a Do that bears
// being run again after a crash.
//
// In texts that say so, "{version}" stands for the version of the release,
// "{from}" for the version before it ("" for none) and "{package}" for the
// package's name: in an Undo as well as in a Do.
//
// A program that updates itself has the steps [Download], [SwapBinary] and
// [Restart], in this order, and calls [Begin] and [Program.Confirm] when it
// starts: a release that does not come so far goes back by itself. Where
// nothing else would start it again, [Launch] does.
//
// # What to read first
//
// step.go has what all of them use, clear.go and maintenance.go are small steps,
// whole. Then each step by itself, its main file first:
//
//   - Command: command.go; how a program ends with all that it started is in
//     command_*.go.
//   - PublishFiles: publish.go, publish_tree.go (the new folder),
//     publish_switch.go (what makes it current), publish_undo.go; then
//     publish_keep.go, publish_foreign.go and publish_sweep.go.
//   - MigrateSQL: migrate.go, migrate_files.go and migrate_check.go, then
//     migrate_run.go with migrate_session.go; statement.go takes a file apart for
//     migrate_apart.go.
//   - BackupSQLite: backup.go, sqlite.go, sqlite_restore.go, sqlite_sweep.go.
//   - HTTPHealth: health.go.
//   - A program that updates itself: download.go, download_fetch.go and
//     verify.go; swap.go, swap_stage.go, place.go (the files beside a program)
//     and trial.go (whether a release may stay); program.go, listener.go,
//     restart.go and launch.go.
package step
