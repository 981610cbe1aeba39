# SPDX-License-Identifier: Apache-2.0
# An application for a board that edgeferry's bootloader starts. Before it is included:
#
#   BOARD = mps2-an385     a file of boards/
#   APP = blink            makes blink.elf and blink.bin
#   SOURCES = main.c       of the application; main() is its beginning, "agent/agent.h" its way to updates
#
# CPPFLAGS, CFLAGS are added. Sign blink.bin with edgeferry-repo(1) or imgtool. All objects lie in $(BOARD).o/.
# Without a version of its own an application has the kit's (EF_BOOT_VERSION).

EDGE := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
include $(EDGE)/boards/$(BOARD).mk

edge_out := $(BOARD).o
edge_flags = $(EDGE_TUNING) -ffile-prefix-map=$(EDGE)=. $(EDGE_CPU) -I$(EDGE)/edge-fw -I$(EDGE)/src -I$(EDGE)/include \
	-I$(EDGE)/edge-fw/port/libc -I$(EDGE)/edge-fw/port/$(EDGE_CORE) -I$(EDGE)/edge-fw/port/$(BOARD) -isystem $(EDGE)/bearssl
# EDGE_LIBC is what the compiler calls by itself, when it is too late to bring it in.
edge_objects = $(SOURCES:%.c=$(edge_out)/own/%.o) $(EDGE_AGENT:%.c=$(edge_out)/kit/%.o) $(EDGE_LIBC:%.c=$(edge_out)/kit/%.o)

all: $(APP).bin

$(edge_out)/own/%.o: %.c
	@mkdir -p $(@D)
	$(EDGE_CC) $(edge_flags) $(EDGE_WARNINGS) $(CPPFLAGS) $(CFLAGS) -MD -c $< -o $@

$(EDGE_LIBC:%.c=$(edge_out)/kit/%.o): edge_flags += -fno-lto

$(edge_out)/kit/%.o: $(EDGE)/%.c
	@mkdir -p $(@D)
	$(EDGE_CC) $(edge_flags) $(EDGE_WARNINGS) -MD -c $< -o $@

$(APP).elf: $(edge_objects) $(EDGE)/edge-fw/port/mcu/image.ld
	$(EDGE_CC) $(edge_flags) -nostdlib -nostartfiles $(edge_objects) \
		$$($(EDGE_CC) $(EDGE_CPU_LIBGCC) -print-libgcc-file-name) -o $@ \
		-Wl,--gc-sections,--no-warn-rwx-segments,--build-id=none,-Map=$@.map -Wl,-T,$(EDGE)/edge-fw/port/mcu/image.ld \
		$(EDGE_MAP:%=-Wl,--defsym=%)

$(APP).bin: $(APP).elf
	$(EDGE_OBJCOPY) -O binary $< $@

clean:
	rm -rf $(edge_out) $(APP).elf $(APP).elf.map $(APP).bin

.PHONY: all clean
-include $(edge_objects:.o=.d)
