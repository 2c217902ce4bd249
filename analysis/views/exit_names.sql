-- exit_names: every exit reason with its code, and its name and number on Intel (VMX, as KVM spells them)
--   reason: SVM name of the exit
--   reason_code: SVM exit code
--   info1: for MSR only: 0 read, 1 write, because VMX has two reasons; null: any
--   vmx_name: VMX basic exit reason (SDM volume 3, appendix C) without the EXIT_REASON_ prefix; null: VMX has none
--   vmx_code: its number
CREATE OR REPLACE VIEW exit_names AS
WITH families AS (
  SELECT format('VMEXIT_CR{}_READ', n) AS reason, n AS reason_code, 'CR_ACCESS' AS vmx_name, 28 AS vmx_code FROM range(16) t(n)
  UNION ALL SELECT format('VMEXIT_CR{}_WRITE', n), 16 + n, 'CR_ACCESS', 28 FROM range(16) t(n)
  UNION ALL SELECT format('VMEXIT_DR{}_READ', n), 32 + n, 'DR_ACCESS', 29 FROM range(16) t(n)
  UNION ALL SELECT format('VMEXIT_DR{}_WRITE', n), 48 + n, 'DR_ACCESS', 29 FROM range(16) t(n)
  UNION ALL
  SELECT 'VMEXIT_EXCEPTION_' || coalesce(
      list_extract(['DE', 'DB', 'NMI', 'BP', 'OF', 'BR', 'UD', 'NM', 'DF', '09', 'TS', 'NP', 'SS', 'GP', 'PF', '15',
                    'MF', 'AC', 'MC', 'XF', '20', 'CP'], n::INTEGER + 1), lower(to_hex(n))),
    64 + n, 'EXCEPTION_NMI', 0
  FROM range(32) t(n)
), singles(reason, reason_code, info1, vmx_name, vmx_code) AS (
  VALUES
    ('VMEXIT_INTR', 96, NULL, 'EXTERNAL_INTERRUPT', 1),
    ('VMEXIT_NMI', 97, NULL, 'EXCEPTION_NMI', 0),
    ('VMEXIT_VINTR', 100, NULL, 'INTERRUPT_WINDOW', 7),
    ('VMEXIT_RDTSC', 110, NULL, 'RDTSC', 16),
    ('VMEXIT_RDPMC', 111, NULL, 'RDPMC', 15),
    ('VMEXIT_PUSHF', 112, NULL, NULL, NULL),
    ('VMEXIT_CPUID', 114, NULL, 'CPUID', 10),
    ('VMEXIT_IRET', 116, NULL, NULL, NULL),
    ('VMEXIT_SWINT', 117, NULL, NULL, NULL),
    ('VMEXIT_INVD', 118, NULL, 'INVD', 13),
    ('VMEXIT_PAUSE', 119, NULL, 'PAUSE_INSTRUCTION', 40),
    ('VMEXIT_HLT', 120, NULL, 'HLT', 12),
    ('VMEXIT_INVLPG', 121, NULL, 'INVLPG', 14),
    ('VMEXIT_INVLPGA', 122, NULL, NULL, NULL),
    ('VMEXIT_IOIO', 123, NULL, 'IO_INSTRUCTION', 30),
    ('VMEXIT_MSR', 124, 0, 'MSR_READ', 31),
    ('VMEXIT_MSR', 124, 1, 'MSR_WRITE', 32),
    ('VMEXIT_TASK_SWITCH', 125, NULL, 'TASK_SWITCH', 9),
    ('VMEXIT_SHUTDOWN', 127, NULL, 'TRIPLE_FAULT', 2),
    ('VMEXIT_VMRUN', 128, NULL, NULL, NULL),
    ('VMEXIT_VMMCALL', 129, NULL, 'VMCALL', 18),
    ('VMEXIT_VMLOAD', 130, NULL, NULL, NULL),
    ('VMEXIT_VMSAVE', 131, NULL, NULL, NULL),
    ('VMEXIT_STGI', 132, NULL, NULL, NULL),
    ('VMEXIT_CLGI', 133, NULL, NULL, NULL),
    ('VMEXIT_SKINIT', 134, NULL, NULL, NULL),
    ('VMEXIT_RDTSCP', 135, NULL, 'RDTSCP', 51),
    ('VMEXIT_ICEBP', 136, NULL, 'EXCEPTION_NMI', 0),
    ('VMEXIT_WBINVD', 137, NULL, 'WBINVD', 54),
    ('VMEXIT_MONITOR', 138, NULL, 'MONITOR_INSTRUCTION', 39),
    ('VMEXIT_MWAIT', 139, NULL, 'MWAIT_INSTRUCTION', 36),
    ('VMEXIT_XSETBV', 141, NULL, 'XSETBV', 55),
    ('VMEXIT_NPF', 1024, NULL, 'EPT_VIOLATION', 48),
    ('UNIMPLEMENTED', 65536, NULL, NULL, NULL),
    ('INSTRUCTION_LIMIT', 65537, NULL, NULL, NULL),
    ('HOST_STOP', 65538, NULL, NULL, NULL)
)
SELECT reason, reason_code::UINTEGER AS reason_code, NULL::UBIGINT AS info1, vmx_name, vmx_code::INTEGER AS vmx_code FROM families
UNION ALL
SELECT reason, reason_code::UINTEGER, info1::UBIGINT, vmx_name, vmx_code::INTEGER FROM singles
ORDER BY reason_code, info1;
