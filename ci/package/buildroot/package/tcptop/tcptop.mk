################################################################################
#
# tcptop
#
################################################################################

# Installs the static binary that `ci/build` made. To build it here would need a
# Rust compiler with its library's source, and a bpf-linker for that compiler's
# LLVM.
TCPTOP_VERSION = 0.2.0
TCPTOP_SITE = $(call qstrip,$(BR2_PACKAGE_TCPTOP_DIST))
TCPTOP_SITE_METHOD = local
TCPTOP_LICENSE = MIT or Apache-2.0
TCPTOP_ADD_TOOLCHAIN_DEPENDENCY = NO

TCPTOP_BINARY = tcptop-$(if $(BR2_arm),$(if $(BR2_ARM_CPU_ARMV6),armv6,armv7),$(ARCH))

define TCPTOP_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/$(TCPTOP_BINARY) $(TARGET_DIR)/usr/sbin/tcptop
endef

ifeq ($(BR2_PACKAGE_TCPTOP_LOG),y)
define TCPTOP_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(TCPTOP_PKGDIR)/S95tcptop \
		$(TARGET_DIR)/etc/init.d/S95tcptop
	$(INSTALL) -D -m 0644 $(TCPTOP_PKGDIR)/tcptop.default \
		$(TARGET_DIR)/etc/default/tcptop
endef

define TCPTOP_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(BR2_EXTERNAL_TCPTOP_PATH)/../systemd/tcptop.service \
		$(TARGET_DIR)/usr/lib/systemd/system/tcptop.service
	$(INSTALL) -D -m 0644 $(BR2_EXTERNAL_TCPTOP_PATH)/../systemd/tcptop.default \
		$(TARGET_DIR)/etc/default/tcptop
endef
endif

define TCPTOP_LINUX_CONFIG_FIXUPS
	$(call KCONFIG_ENABLE_OPT,CONFIG_BPF_SYSCALL)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CGROUPS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CGROUP_BPF)
endef

$(eval $(generic-package))
