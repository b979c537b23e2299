// Package slot keeps two images in files or block devices and tells a boot
// loader which one to start. [Open] is for a device, [NewSimulator] for tests.
//
// What is to be started is kept by a [Boot]: [File] for a boot loader or an
// init of one's own, which may call [Next]; [GRUB]; or [Command] for U-Boot
// and whatever else has commands that read and write variables. grub.cfg and
// uboot.cmd beside this file are what their scripts have to do: start
// upkeep_slot, but upkeep_try once, where upkeep_tries is 0, after that was
// made 1 for good.
//
// What the slots hold is kept in a file of its own, Config.Records, on a file
// system that no update replaces.
//
// Once the files are there nothing relies on a rename, nor on more than 512 bytes
// to be written as a whole: a file has two copies, of which the older is written,
// in place, and made durable. The first time it is made by a rename. But a
// variable of GRUB is where GRUB writes it; see there.
package slot
