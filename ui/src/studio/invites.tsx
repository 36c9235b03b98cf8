import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { wordsOf } from '../shared/api.ts';
import { roleName, type Role } from '../shared/space.ts';
import { CopyButton } from './copy.tsx';
import type { Invite, Room } from './model.ts';

type Props = { room: Room };

/** Links that open the studio for others: each is one seat. */
export function Invites({ room }: Props) {
  const invites = useSignal<Invite[]>([]);
  const refusal = useSignal<string | null>(null);

  async function attempt(act: () => Promise<void>): Promise<boolean> {
    refusal.value = null;
    try {
      await act();
      invites.value = await room.invites();
      return true;
    } catch (error) {
      refusal.value = wordsOf(error);
      return false;
    }
  }

  useEffect(() => void attempt(async () => {}), [room]);
  const others = invites.value.filter((invite) => invite.seat !== room.me.seat);
  return (
    <section class="card" aria-label="Invitations" data-testid="invites">
      <h2>Invite to the stage</h2>
      <p class="soft small">Each link is one seat, and opens this studio with no account. The audience sees the name. Send it to that person only.</p>
      <InviteForm make={(role, name) => attempt(async () => void (await room.invite(role, name)))} />
      {refusal.value && (
        <p class="note" data-kind="trouble" role="alert">
          {refusal.value}
        </p>
      )}
      {others.length > 0 && (
        <ul class="invites">
          {others.map((invite) => (
            <InviteLine key={invite.seat} invite={invite} revoke={() => attempt(() => room.revoke(invite.seat))} />
          ))}
        </ul>
      )}
    </section>
  );
}

const ROLES: Role[] = ['speaker', 'cohost', 'host'];

function InviteForm({ make }: { make: (role: Role, name: string) => Promise<boolean> }) {
  const busy = useSignal(false);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const data = new FormData(form);
    busy.value = true;
    if (await make(data.get('role') as Role, String(data.get('name')))) form.reset();
    busy.value = false;
  }

  return (
    <form class="invite-form" onSubmit={(event) => void submit(event)}>
      <div class="field">
        <label for="invite-name">Name</label>
        <input class="input" id="invite-name" name="name" required maxLength={80} autoComplete="off" data-testid="invite-name" />
      </div>
      <div class="field">
        <label for="invite-role">Role</label>
        <select class="input" id="invite-role" name="role" data-testid="invite-role">
          {ROLES.map((role) => (
            <option key={role} value={role}>
              {roleName(role)}
            </option>
          ))}
        </select>
      </div>
      <button class="button" type="submit" disabled={busy.value} data-testid="invite">
        Make a link
      </button>
    </form>
  );
}

function InviteLine({ invite, revoke }: { invite: Invite; revoke: () => Promise<boolean> }) {
  return (
    <li class="invite" data-testid="invite-line" data-url={invite.url} data-seat={invite.seat}>
      <span class="seat-name">
        <b>
          <bdi>{invite.name}</bdi>
        </b>
        <span class="soft small">{roleName(invite.role)}</span>
      </span>
      <span class="row">
        <CopyButton text={invite.url} label="Copy link" testid="copy-invite" />
        <button class="button" data-kind="quiet" type="button" aria-label={`Revoke the invitation of ${invite.name}`} data-testid="revoke" onClick={() => void revoke()}>
          Revoke
        </button>
      </span>
    </li>
  );
}
