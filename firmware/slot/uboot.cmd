# What boot.scr has to do, for slot.Command with fw_printenv and fw_setenv: start
# upkeep_slot, but upkeep_try once, where upkeep_tries is 0. The environment has
# to be redundant.
setenv slot "${upkeep_slot}"
if test "${upkeep_tries}" = 0; then
	if test "${upkeep_try}" = a || test "${upkeep_try}" = b; then
		setenv upkeep_tries 1
		# What cannot be noted is not tried, else it would be tried for ever.
		if saveenv; then
			setenv slot "${upkeep_try}"
		fi
	fi
fi
if test "${slot}" != b; then
	setenv slot a
fi
# A kernel that gives up restarts; what hangs needs a watchdog. Variables of the
# image, from Release.Meta, are upkeep_a_NAME and upkeep_b_NAME.
setenv part 2
if test "${slot}" = b; then
	setenv part 3
fi
setenv bootargs "${bootargs} root=PARTLABEL=root_${slot} upkeep.slot=${slot} panic=10"
load mmc "0:${part}" "${kernel_addr_r}" /boot/Image
load mmc "0:${part}" "${fdt_addr_r}" /boot/board.dtb
booti "${kernel_addr_r}" - "${fdt_addr_r}"
