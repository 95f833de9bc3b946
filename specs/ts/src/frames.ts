import type { WatchFrame, Workspace } from './generated/types.ts'

/** What is known of all workspaces, and from where to go on. */
export interface Known {
  readonly workspaces: ReadonlyMap<string, Workspace>
  /** The event id after which everything is still to come; none until a list is complete. */
  readonly cursor: string | undefined
  /** The list that is being sent after a `reset`. The old one stands until it is complete. */
  readonly coming: Map<string, Workspace> | undefined
}

export const NOTHING: Known = { workspaces: new Map(), cursor: undefined, coming: undefined }

/** What is known after one more frame of `workspaces.watch`. Frames of kinds that are not known yet change nothing. */
export function after(known: Known, frame: WatchFrame, id: string | undefined): Known {
  const { workspace } = frame
  switch (frame.type) {
    case 'reset':
      // Until the list is complete there is no place to resume from.
      return { ...known, cursor: undefined, coming: new Map() }
    case 'added':
    case 'modified':
      return workspace === undefined ? known : change(known, id, (all) => all.set(workspace.name, workspace))
    case 'deleted':
      return workspace === undefined ? known : change(known, id, (all) => all.delete(workspace.name))
    case 'bookmark':
      return { workspaces: complete(known), cursor: id ?? known.cursor, coming: undefined }
    default:
      return known
  }
}

function change(known: Known, id: string | undefined, edit: (all: Map<string, Workspace>) => void): Known {
  if (known.coming !== undefined) {
    // Nobody has seen it yet, and to copy it for each of a thousand workspaces would take its square.
    edit(known.coming)
    return known
  }
  const workspaces = new Map(known.workspaces)
  edit(workspaces)
  return { ...known, workspaces, cursor: id ?? known.cursor }
}

/** The new list; a workspace that has not changed stays the same object, so that nothing is drawn anew for it. */
function complete({ workspaces, coming }: Known): ReadonlyMap<string, Workspace> {
  if (coming === undefined) return workspaces
  const same = (before: Workspace | undefined, now: Workspace) =>
    before !== undefined && before.uid === now.uid && JSON.stringify(before) === JSON.stringify(now)
  return new Map(
    [...coming].map(([name, now]) => {
      const before = workspaces.get(name)
      return [name, before !== undefined && same(before, now) ? before : now]
    }),
  )
}
