// Why a userfaultfd is refused. EPERM and ENOSYS alone do not say who spoke: the kernel, a seccomp filter in front of it, or a security
// module behind it. What tells them apart is a call that the kernel itself always turns away as malformed (EINVAL): any other answer to
// it was given before the kernel looked.
import { UFFD_USER_MODE_ONLY } from '../abi.ts';
import { EACCES, EINVAL, ENOENT, ENOSYS, EPERM, errnoName } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import { field, type ProbeHost, sysctl } from './host.ts';

export const DEVICE = '/dev/userfaultfd';
const SYSCTL = 'vm.unprivileged_userfaultfd';

/** A flag of userfaultfd(2) that no kernel defines. User-mode-only besides: the privilege is checked first otherwise. */
const IMPOSSIBLE_FLAGS = 0x4000_0000 | UFFD_USER_MODE_ONLY;
/** capability.h. */
const CAP_SYS_PTRACE = 19n;
/** The whole range of user ids maps onto itself: no user namespace of our own. */
const INITIAL_UID_MAP = /^\s*0\s+0\s+4294967295\s*$/;
const SECCOMP_MODE_FILTER = 2;

/** Everything that can stand in the way. */
export interface AccessFacts {
  /** vm.unprivileged_userfaultfd; null where this kernel shows no such setting. */
  readonly sysctl: number | null;
  /** Whether CAP_SYS_PTRACE is effective; null when unknown. */
  readonly capSysPtrace: boolean | null;
  /** The process lives in a user namespace, where capabilities do not count towards userfaultfd. */
  readonly userNamespace: boolean | null;
  /** 0 none, 1 strict, 2 filter; null when unknown. */
  readonly seccompMode: number | null;
  readonly noNewPrivs: boolean | null;
  /** access(2) of the device: `ok`, or the name of the errno. */
  readonly device: string;
  /** Whether the kernel itself answers userfaultfd(2). */
  readonly callReachesKernel: boolean;
}

export type Obstacle = 'privilege' | 'user namespace' | 'seccomp' | 'security module' | 'sandbox' | 'kernel';

export function accessFacts(kernel: Kernel, host: ProbeHost): AccessFacts {
  // Filters and capabilities are properties of a thread.
  const status = host.read('/proc/thread-self/status') ?? host.read('/proc/self/status');
  const effective = field(status, 'CapEff');
  const seccomp = field(status, 'Seccomp');
  const noNewPrivs = field(status, 'NoNewPrivs');
  const setting = sysctl(host, SYSCTL);
  const uidMap = host.read('/proc/self/uid_map');
  const access = host.access(DEVICE);
  const answer = kernel.userfaultfd(IMPOSSIBLE_FLAGS);
  if (answer >= 0) kernel.close(answer);
  return {
    sysctl: setting === undefined ? null : Number(setting),
    capSysPtrace: effective === undefined ? null : ((BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n) === 1n,
    userNamespace: uidMap === undefined ? null : !INITIAL_UID_MAP.test(uidMap),
    seccompMode: seccomp === undefined ? null : Number(seccomp),
    noNewPrivs: noNewPrivs === undefined ? null : noNewPrivs === '1',
    device: access === 0 ? 'ok' : errnoName(access),
    callReachesKernel: answer === -EINVAL,
  };
}

/** Who refused userfaultfd(2) with this errno. */
export function obstacle(errno: number, userModeOnly: boolean, facts: AccessFacts): Obstacle | undefined {
  const filtered = facts.seccompMode === SECCOMP_MODE_FILTER;
  if (errno === ENOSYS) {
    // Where the kernel shows the setting or the device it has the call, and somebody hides it.
    const exists = facts.sysctl !== null || facts.device !== errnoName(ENOENT);
    if (!exists) return 'kernel';
    return filtered ? 'seccomp' : 'sandbox';
  }
  if (errno !== EPERM && errno !== EACCES)
    return filtered && !facts.callReachesKernel ? 'seccomp' : undefined;
  if (!facts.callReachesKernel) return filtered ? 'seccomp' : 'sandbox';
  if (userModeOnly) return filtered ? 'seccomp' : 'security module';
  if (facts.sysctl === 1) return filtered ? 'seccomp' : 'security module';
  if (facts.capSysPtrace !== true) return 'privilege';
  if (facts.userNamespace === true) return 'user namespace';
  return filtered ? 'seccomp' : 'security module';
}

const UNCONFINED =
  'docker run --security-opt seccomp=unconfined IMAGE  # or a profile that allows userfaultfd; Kubernetes: ' +
  'securityContext.seccompProfile.type: Unconfined; systemd: SystemCallFilter=userfaultfd';

/** What stands in the way, in words, and what removes it. */
export function explain(
  which: Obstacle | undefined,
  errno: number,
  facts: AccessFacts,
): { readonly words: string; readonly repair: string | undefined } {
  const refused = `refused with ${errnoName(errno)}`;
  switch (which) {
    case 'privilege':
      return {
        words:
          `${refused} by the kernel: ${SYSCTL} is ${facts.sysctl ?? 'not there'}, and CAP_SYS_PTRACE is ` +
          `${facts.capSysPtrace === null ? 'unknown' : 'not effective'} (CapEff)`,
        repair: `sudo sysctl -w ${SYSCTL}=1`,
      };
    case 'user namespace':
      return {
        words: `${refused} by the kernel: ${SYSCTL} is ${facts.sysctl ?? 'not there'}, and CAP_SYS_PTRACE counts only outside of user namespaces`,
        repair: `sudo sysctl -w ${SYSCTL}=1  # on the host`,
      };
    case 'seccomp':
      return {
        words:
          `${refused} by a seccomp filter (Seccomp: 2 in /proc/self/status): ` +
          (facts.callReachesKernel
            ? 'the kernel answers other forms of the call, and nothing else forbids this one'
            : 'even a malformed call, which the kernel answers with EINVAL, does not reach it'),
        repair: UNCONFINED,
      };
    case 'security module':
      return {
        words: `${refused} by a security module (SELinux, AppArmor …): the call reaches the kernel, and its settings allow it`,
        repair: 'sudo ausearch -m avc -ts recent  # shows the rule of SELinux that refused it',
      };
    case 'sandbox':
      return {
        words: `${refused} by a sandbox: the call does not reach the kernel, although no seccomp filter shows in /proc/self/status`,
        repair: UNCONFINED,
      };
    case 'kernel':
      return {
        words: `${refused}: this kernel (or its emulation, such as gVisor) has no userfaultfd: neither ${SYSCTL} nor ${DEVICE} exist`,
        repair:
          'docker run --runtime=runc IMAGE  # in place of gVisor; else boot a kernel with CONFIG_USERFAULTFD=y',
      };
    default:
      return { words: `failed with ${errnoName(errno)}`, repair: undefined };
  }
}
