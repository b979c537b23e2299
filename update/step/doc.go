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
package step
