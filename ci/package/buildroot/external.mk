include $(sort $(wildcard $(BR2_EXTERNAL_TCPTOP_PATH)/package/*/*.mk))
