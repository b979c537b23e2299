package slot

// OnRoot finds the slot that the root file system is on.
var OnRoot = onRoot
